"""Which split selects the epoch and which one is reported, and whether that is honest."""

from __future__ import annotations

import dataclasses

from ferjax.errors import UserError, nearest

SPLITS = ("validation", "test", "validation+test")
LABELS = {"honest": "honest", "paper": "optimistic"}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a run gets to its number.

    Attributes:
      name: "honest" selects on validation and reads the test split once; "paper" does what a paper
        did, and its numbers are labelled optimistic wherever they appear.
      selection: the split whose accuracy selects the epoch and steers the learning rate.
      test: the split that is reported.
      leak: what else makes the number optimistic; "" where nothing does.
    """

    name: str = "honest"
    selection: str = "validation"
    test: str = "test"
    leak: str = ""

    def __post_init__(self) -> None:
        for field, choices in (("name", tuple(LABELS)), ("selection", SPLITS), ("test", SPLITS)):
            value = getattr(self, field)
            if value not in choices:
                raise UserError(
                    f"protocol.{field} is {value!r}; expected one of {', '.join(choices)}."
                    + nearest(value, choices)
                )
        if self.name == "honest" and (self.selection, self.test) != ("validation", "test"):
            raise UserError(
                f"protocol.name is 'honest', which selects on validation and tests on test, but "
                f"protocol.selection is {self.selection!r} and protocol.test {self.test!r}; set "
                "protocol.name to 'paper'."
            )
        if self.name == "honest" and self.leak:
            raise UserError(
                f"protocol.name is 'honest', but {self.leak}; set protocol.name to 'paper'."
            )

    @property
    def label(self) -> str:
        """What every output calls the numbers: honest or optimistic."""
        return LABELS[self.name]

    @property
    def measured(self) -> str:
        """What the numbers that select an epoch are called."""
        return "validation" if self.name == "honest" else "optimistic"

    @property
    def remark(self) -> str:
        """Nothing for an honest number, else what makes it optimistic."""
        if self.name == "honest":
            return ""
        also = f"; {self.leak}" if self.leak else ""
        return f"OPTIMISTIC: selected on {self.selection}, reported on {self.test}{also}"
