"""Which epoch is the best by validation, and when to stop waiting for a better one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass
class Selection:
    """The best epoch so far; stored in the checkpoint.

    Attributes:
      accuracy: the best validation accuracy, a fraction; -1 before the first epoch.
      epoch: the epoch that reached it first, counted from 1.
      step: the last step of that epoch.
      waited: epochs since then.
    """

    accuracy: float = -1.0
    epoch: int = 0
    step: int = 0
    waited: int = 0

    def update(self, *, epoch: int, step: int, accuracy: float) -> bool:
        """Records one epoch; true if it is better than all before. A tie keeps the earlier one."""
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.step, self.waited = accuracy, epoch, step, 0
            return True
        self.waited += 1
        return False

    def exhausted(self, patience: int) -> bool:
        """Whether `patience` epochs have passed without a better one; never with 0."""
        return patience > 0 and self.waited >= patience

    def to_dict(self) -> dict[str, Any]:
        """A JSON object of the constructor's keywords."""
        return dataclasses.asdict(self)

    def training(self, epochs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        """Epoch, loss and accuracy in training of the best epoch.

        Means over its steps, of augmented images while the weights still moved.

        Args:
          epochs: the rows of metrics.jsonl with one epoch each.

        Returns:
          None if nothing was trained, as happens in late fusion, or if the rows are gone.
        """
        for row in epochs:
            if row["epoch"] == self.epoch and "loss" in row:
                return {name: row[name] for name in ("epoch", "loss", "accuracy")}
        return None
