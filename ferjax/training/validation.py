"""The pass over the split that selects, at the end of every epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

from ferjax.evaluation.class_geometry import Accumulator
from ferjax.metrics import Metrics
from ferjax.training.experiment import Experiment
from ferjax.training.step import TrainState


class Measured(NamedTuple):
    """The result of a pass.

    Attributes:
      scores: the metrics of the split in the view that selects.
      row: the figures for metrics.jsonl, without the prefix `validation` or `optimistic`.
    """

    scores: Metrics
    row: dict[str, float]


class Validation:
    """Scores states of one run; the split is placed on the devices once.

    Args:
      run: its protocol names the split, its config the view.
    """

    def __init__(self, run: Experiment):
        self._split = run.protocol.selection
        self._view = run.config.evaluation.selection_view
        self._evaluate = run.evaluator.over(run.data, self._split, (self._view,))

    def __call__(self, state: TrainState) -> Measured:
        """Scores a state's evaluated weights, and measures where its classes and centres lie."""
        geometry = Accumulator()
        scores = self._evaluate(state.evaluated, geometry)[self._view][self._split]
        row: dict[str, float] = {
            "accuracy": scores["accuracy"],
            "loss": scores["loss"],
            "macro_f1": scores["macro_f1"],
        }
        found: dict[str, Any] = {**geometry.compute(state.centers)}
        row |= {name: value for name, value in found.items() if value is not None}
        return Measured(scores, row)
