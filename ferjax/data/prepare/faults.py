"""Faults of a source: all of them are looked for, and the first are told together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ferjax.errors import UserError, one_line

# So many are named; the others are counted.
MOST = 20

Place = str | int


class Fault(UserError):
    """What is wrong with one file or one row.

    Attributes:
      found: what is wrong and where, as a sentence.
      advice: what to do, as a sentence, which a list of faults says once; "" if there is nothing.
    """

    def __init__(self, found: str, advice: str = ""):
        super().__init__(f"{found} {advice}".rstrip())
        self.found, self.advice = found, advice


class Faults:
    """Collects what is wrong with the files or the rows of one source.

    Attributes:
      number: how many faults there are. Of many only the first by their places are kept.
    """

    def __init__(self) -> None:
        self.number = 0
        self._first: list[tuple[Place, Fault]] = []

    @contextlib.contextmanager
    def caught(self, place: Place) -> Iterator[None]:
        """Adds the UserError that the block raises, which then ends; see `add`."""
        try:
            yield
        except UserError as error:
            self.add(place, error)

    def add(self, place: Place, error: UserError) -> None:
        """Adds a fault.

        Args:
          place: the path of its file or the number of its row, by which faults are sorted.
          error: what is wrong.
        """
        self.number += 1
        fault = error if isinstance(error, Fault) else Fault(str(error))
        # Without the frames of the traceback, which hold the file that was read.
        self._first.append((place, fault.with_traceback(None)))
        if len(self._first) > 10 * MOST:
            self._cut()

    def check(self, total: str, advice: str = "") -> None:
        """Raises a UserError if there are faults: one as it is, several as a list.

        Args:
          total: what was looked at, as "13 images of PATH".
          advice: what to do about those of several that have no advice, as a sentence.
        """
        self._cut()
        if self.number == 1:
            raise UserError(str(self._first[0][1]))
        if self.number:
            lines = [f"  {one_line(fault.found)}" for _, fault in self._first]
            if self.number > MOST:
                lines.append(f"  and {self.number - MOST:,} more.")
            advices = dict.fromkeys(fault.advice or advice for _, fault in self._first)
            raise UserError(
                "\n".join(
                    [
                        f"{self.number:,} of {total} cannot be used, and nothing is stored:",
                        *lines,
                        *filter(None, advices),
                    ]
                )
            )

    def _cut(self) -> None:
        self._first = sorted(self._first, key=lambda one: one[0])[:MOST]
