"""The scores of a finished evaluation with what only the probabilities of each example tell.

The metrics of a view of a group gain (fractions; `loss` is the negative log-likelihood):

    top2_accuracy        the true class is among the two most probable
    calibration_error    expected calibration error in 15 bins (see `probabilities`)
    intervals            95 % intervals of accuracy, top2_accuracy, macro_f1, balanced_accuracy and
                         loss (see `intervals.of_scores`): [low, high]
    calibrated           loss and calibration_error after the view's temperature; not where there is
                         none, or where it was fitted on the images that are scored
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from ferjax.data.run_data import RunData
from ferjax.evaluation import intervals, probabilities
from ferjax.evaluation.evaluator import Evaluator, Scores
from ferjax.evaluation.programs import Rows
from ferjax.metrics import Metrics
from ferjax.models.functional import Weights
from ferjax.workdir import predictions
from ferjax.workdir.predictions import Predictions


class Calibrated(TypedDict):
    """Metrics after the probabilities were scaled by a temperature."""

    loss: float
    calibration_error: float


class DescribedMetrics(Metrics):
    """See the head of this file."""

    top2_accuracy: float
    calibration_error: float
    intervals: dict[str, list[float]]
    calibrated: NotRequired[Calibrated]


class Kept:
    """Collects the predictions of a pass; an instance is the `keep` of `programs.counting`."""

    def __init__(self) -> None:
        self._rows: list[Rows] = []

    def __call__(self, rows: Rows) -> None:
        """Adds a batch."""
        self._rows.append(rows)

    def predictions(
        self,
        split: str,
        *,
        labels: tuple[str, ...],
        fingerprint: str = "",
        images: str = "",
        subjects: Sequence[str] = (),
    ) -> Predictions:
        """The predictions for all examples that belong to a group, in the order of the split.

        Args:
          split: its name.
          labels: names of the classes.
          fingerprint: of the data set; "" if the predictions are not to be stored.
          images: see `Predictions`; likewise.
          subjects: who is shown in each example of the split; () if it is not known.
        """
        rows: Any = jax.tree.map(lambda *parts: np.concatenate(parts), *jax.device_get(self._rows))
        counted = np.logical_or.reduce(list(rows.groups.values()))
        rows = jax.tree.map(lambda column: column[counted], rows)
        return Predictions(
            split=split,
            labels=labels,
            fingerprint=fingerprint,
            images=images,
            subjects=tuple(subjects[at] for at in rows.indices) if subjects else (),
            index=rows.indices,
            label=rows.labels,
            probabilities=rows.probabilities,
            groups=rows.groups,
        )


def passed(
    evaluator: Evaluator,
    weights: Weights,
    data: RunData,
    split: str,
    names: Sequence[str],
    more_groups: Mapping[str, Bool[np.ndarray, " N"]] | None = None,
) -> tuple[Scores, Predictions]:
    """The scores of a pass over a split of a run's own data, and its predictions.

    Args:
      evaluator: of the model.
      weights: of the model.
      data: the data set.
      split: its split.
      names: the views.
      more_groups: see `Evaluator.over`.
    """
    kept, spec = Kept(), evaluator.spec
    scores = evaluator.over(data, split, names, more_groups)(weights, keep=kept)
    examples = data.examples(split)
    return scores, kept.predictions(
        split,
        labels=spec.labels,
        fingerprint=spec.fingerprint,
        images=predictions.digest(examples.pixel_hashes),
        subjects=examples.subjects,
    )


def temperatures(selected: Predictions) -> dict[str, float]:
    """The temperature of each view, fitted on the split that selected the epoch."""
    return {
        view: probabilities.fit_temperature(rows, selected.label)
        for view, rows in selected.probabilities.items()
    }


def described(
    scores: Scores, kept: Predictions, fitted: Mapping[str, float]
) -> dict[str, dict[str, DescribedMetrics]]:
    """The scores with the metrics of the head of this file.

    Args:
      scores: metrics[view][group] of an evaluation.
      kept: its predictions.
      fitted: the temperature of each view that has one.
    """
    made: dict[str, dict[str, Any]] = {}
    persons = kept.persons()
    for view, groups in scores.items():
        made[view] = {}
        for group, metrics in groups.items():
            mask = kept.groups[group]
            rows, labels = kept.probabilities[view][mask], kept.label[mask]
            shown = None if persons is None else persons[mask]
            more = _more(rows, labels, shown, fitted.get(view))
            made[view][group] = {**metrics, **more}
    return made


def _more(
    rows: Float[np.ndarray, "N K"],
    labels: Int[np.ndarray, " N"],
    persons: Int[np.ndarray, " N"] | None,
    temperature: float | None,
) -> dict[str, Any]:
    losses, in_top2 = probabilities.losses(rows, labels), probabilities.in_top(rows, labels, 2)
    ends = intervals.of_scores(rows.argmax(axis=1), labels, in_top2, losses, rows.shape[1], persons)
    found: dict[str, Any] = {
        "top2_accuracy": float(in_top2.mean()),
        "calibration_error": probabilities.calibration_error(rows, labels),
        "intervals": {name: list(pair) for name, pair in ends.items()},  # as JSON has them
    }
    if temperature is not None:
        scaled = probabilities.scaled(rows, temperature)
        found["calibrated"] = Calibrated(
            loss=float(probabilities.losses(scaled, labels).mean()),
            calibration_error=probabilities.calibration_error(scaled, labels),
        )
    return found
