"""Reducing the learning rate when a validation metric stops improving.

Two frameworks mean different things by "patience 2": PyTorch's ReduceLROnPlateau reduces at the
third epoch without improvement and asks for a relative one, Keras's at the second and for an
absolute one.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

MODES = {"accuracy": "max", "macro_f1": "max", "loss": "min"}


@dataclasses.dataclass(frozen=True)
class PlateauRule:
    """When the learning rate is reduced, and by how much.

    Attributes:
      factor: the learning rate is multiplied by it; 0 switches the rule off.
      patience: epochs without improvement before a reduction (see the head of this file).
      style: "pytorch" or "keras".
      metric: "accuracy", "macro_f1" or "loss", of validation.
      threshold: how much better an improvement is: relative to the best in PyTorch's style,
        absolute in Keras's.
      cooldown: epochs after a reduction in which nothing is counted.
      minimum: lowest factor on the schedule's learning rate.

    Raises:
      ValueError: an unknown style, or a number out of its range.
    """

    factor: float
    patience: int
    style: str
    metric: str
    threshold: float
    cooldown: int
    minimum: float

    def __post_init__(self) -> None:
        if self.style not in ("pytorch", "keras"):
            raise ValueError(f"style is {self.style!r}; expected pytorch or keras")
        if not 0.0 <= self.factor < 1.0:
            raise ValueError(f"factor is {self.factor}; expected at least 0 and below 1")
        if min(self.patience, self.threshold, self.cooldown, self.minimum) < 0:
            raise ValueError(f"{self} has a negative number")

    def improves(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than the best so far, None before the first."""
        if best is None:
            return not math.isnan(value)
        sign = 1.0 if MODES[self.metric] == "max" else -1.0
        margin = self.threshold * abs(best) if self.style == "pytorch" else self.threshold
        return sign * (value - best) > margin


@dataclasses.dataclass
class Plateau:
    """The state of a rule; stored in the checkpoint.

    Attributes:
      scale: factor on the schedule's learning rate.
      best: the best value of the metric, None before the first.
      waited: epochs without improvement that count towards a reduction.
      cooling: epochs of cooldown that are left.
    """

    scale: float = 1.0
    best: float | None = None
    waited: int = 0
    cooling: int = 0

    def update(self, rule: PlateauRule, value: float) -> bool:
        """Records the metric of one epoch; true if the learning rate has been reduced."""
        if not rule.factor:
            return False
        due = self._pytorch(rule, value) if rule.style == "pytorch" else self._keras(rule, value)
        if not due:
            return False
        self.cooling, self.waited = rule.cooldown, 0
        reduced = max(self.scale * rule.factor, rule.minimum)
        changed = reduced < self.scale
        self.scale = min(reduced, self.scale)
        return changed

    def _pytorch(self, rule: PlateauRule, value: float) -> bool:
        if rule.improves(value, self.best):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling -= 1
            self.waited = 0
        return self.waited > rule.patience

    def _keras(self, rule: PlateauRule, value: float) -> bool:
        if self.cooling > 0:
            self.cooling -= 1
            self.waited = 0
        if rule.improves(value, self.best):
            self.best, self.waited = value, 0
            return False
        if self.cooling > 0:
            return False
        self.waited += 1
        return self.waited >= rule.patience

    def to_dict(self) -> dict[str, Any]:
        """A JSON object of the constructor's keywords."""
        return dataclasses.asdict(self)
