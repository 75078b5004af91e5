"""Which split selects the epoch and which one is reported, and whether that is honest."""

from __future__ import annotations

import dataclasses

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

    Raises:
      ValueError: one that is called honest and is not.
    """

    name: str
    selection: str
    test: str
    leak: str = ""

    def __post_init__(self) -> None:
        splits = (self.selection, self.test)
        if self.name == "honest" and (self.leak or splits != ("validation", "test")):
            raise ValueError(f"{self} is not honest")

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
