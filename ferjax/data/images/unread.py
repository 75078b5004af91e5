"""Files that could not be read while the others were used: counted, and the first of them named."""

from __future__ import annotations

from collections.abc import Iterable

from ferjax.errors import UserError

# The error names as many.
MOST = 20


class Unread:
    """Counts files that could not be read, and keeps why for the first of them.

    Attributes:
      count: how many there are.
    """

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self.count = 0
        self._first: list[str] = []
        self.add(problems)

    def add(self, problems: Iterable[str]) -> None:
        """Adds a sentence for each of some files."""
        for problem in problems:
            self.count += 1
            if len(self._first) < MOST:
                self._first.append(problem)

    def error(self, total: int, *, done: str, listed: str) -> UserError:
        """The error that lists them.

        Args:
          total: how many files there were.
          done: what was done with the others, as "classified".
          listed: what lists all of them, as "--json=FILE lists all"; "" for nothing.
        """
        if total == 1:
            return UserError(self._first[0])
        others = f"; the others were {done}" if self.count < total else ""
        lines = [f"{self.count:,} of {total:,} files could not be read{others}:"]
        lines += [f"  {problem}" for problem in self._first]
        if self.count > len(self._first):
            more = f"; {listed}" if listed else ""
            lines.append(f"  and {self.count - len(self._first):,} more{more}")
        return UserError("\n".join(lines))
