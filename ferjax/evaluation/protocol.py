"""Which split selects the epoch and which one is reported, and whether that is honest.

Three words depend on it; ferjax/evaluation/README.md has them in one table.
"""

from __future__ import annotations

import dataclasses

LABELS = {"honest": "honest", "paper": "optimistic"}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a run selects its epoch and what it reports.

    Attributes:
      name: "honest" selects on validation and reads the test split once; "paper" does what a paper
        did, and its numbers are labelled optimistic wherever they appear.
      selection: the split whose accuracy selects the epoch and steers the learning rate.
      test: the split that is reported.
      leak: what else makes the number optimistic; "" if nothing does.

    Raises:
      ValueError: a protocol that is called honest and is not.
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
        """The label of the numbers in every output: honest or optimistic."""
        return LABELS[self.name]

    @property
    def measured(self) -> str:
        """The prefix of the metrics that select an epoch: validation or optimistic."""
        return "validation" if self.name == "honest" else "optimistic"

    @property
    def remark(self) -> str:
        """What makes the number optimistic; "" for an honest one."""
        if self.name == "honest":
            return ""
        also = f"; {self.leak}" if self.leak else ""
        return f"OPTIMISTIC: selected on {self.selection}, reported on {self.test}{also}"

    def of_images(self, num_seen: int, total: int) -> tuple[str, str]:
        """The label of a score on images of other data, and why if it is optimistic.

        Args:
          num_seen: how many of them trained or selected the model.
          total: how many were scored.
        """
        if not num_seen:
            return self.label, self.remark
        said = f"{num_seen:,} of {total:,} images trained or selected the model"
        remark = f"{self.remark}; {said}" if self.remark else f"OPTIMISTIC: {said}"
        return LABELS["paper"], remark

    def of_split(self, split: str) -> tuple[str, str]:
        """The label of a score on a split of the run's data, and why if it is optimistic.

        Args:
          split: "test", or splits joined by "+".
        """
        if self.remark:
            return self.label, self.remark
        seen = [name for name in split.split("+") if name in ("train", *self.selection.split("+"))]
        if not seen:
            return "honest", ""
        return "optimistic", f"OPTIMISTIC: {' and '.join(seen)} trained or selected the model"
