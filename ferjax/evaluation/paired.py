"""Paired comparisons of two models on the same images, each trained with one or more seeds.

Shapes: N examples, K classes, S seeds. Accuracies and differences are fractions; a difference is
the second minus the first.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from ferjax.evaluation import intervals
from ferjax.evaluation.intervals import Interval, confusions
from ferjax.metrics import macro_f1, mean_sd_ci


class McNemar(NamedTuple):
    """McNemar's exact test of two models on the same images.

    Attributes:
      only_first: images that the first alone classifies correctly.
      only_second: images that the second alone classifies correctly.
      p: two-sided p-value of both being equally accurate, from the binomial distribution.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"]) -> McNemar:
    """The test, from which images each of the two classifies correctly."""
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(stats.binomtest(one, one + other, 0.5).pvalue) if one + other else 1.0
    return McNemar(one, other, p)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The second of two models against the first.

    Attributes:
      accuracy: difference of the accuracies, mean over the seeds.
      over_images: its 95 % interval for these trained models and other images: a paired bootstrap
        that draws images, all seeds at once.
      over_seeds: its 95 % interval for other seeds on these images: Student's, of the differences
        seed by seed; None for one seed.
      mcnemar: McNemar's exact test for each seed.
      macro_f1: difference of macro-F1, mean over the seeds.
      macro_f1_over_images: its interval, as for accuracy.
      recall: difference of the recall of each class; NaN for a class without examples.
    """

    accuracy: float
    over_images: Interval
    over_seeds: Interval | None
    mcnemar: tuple[McNemar, ...]
    macro_f1: float
    macro_f1_over_images: Interval
    recall: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Whether the accuracy is "higher" or "lower", or "open": an interval has zero in it."""
        found = [self.over_images, *([] if self.over_seeds is None else [self.over_seeds])]
        if all(low > 0 for low, _ in found):
            return "higher"
        return "lower" if all(high < 0 for _, high in found) else "open"


def compare(
    first: Sequence[Int[np.ndarray, " N"]],
    second: Sequence[Int[np.ndarray, " N"]],
    labels: Int[np.ndarray, " N"],
    num_classes: int,
) -> Comparison:
    """Compares the predicted classes of two models.

    Args:
      first: the predictions of S runs of the first model.
      second: of the second, in the same order of seeds.
      labels: true classes.
      num_classes: K.

    Raises:
      ValueError: not as many runs of each, or none.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} runs cannot be paired with {len(second)}")
    right = np.stack([np.stack(first), np.stack(second)]) == labels  # [2, S, N]
    gains = right[1].mean(axis=1) - right[0].mean(axis=1)
    spread = mean_sd_ci(gains.tolist())
    codes = labels.astype(np.int64) * num_classes + np.stack([np.stack(first), np.stack(second)])
    each = right[1].mean(axis=0) - right[0].mean(axis=0)

    def statistic(rows: Int[np.ndarray, "R N"]) -> Float[np.ndarray, "2 R"]:
        f1 = np.array(
            [[macro_f1(confusions(run[rows], num_classes)) for run in side] for side in codes]
        )
        return np.stack([each[rows].mean(axis=1), (f1[1] - f1[0]).mean(axis=0)])

    low, high = intervals.resampled(statistic, len(labels))
    whole = statistic(np.arange(len(labels))[None])[:, 0]
    counts = np.bincount(labels, minlength=num_classes)
    recall = np.bincount(labels, weights=each, minlength=num_classes) / np.maximum(counts, 1)
    return Comparison(
        accuracy=spread["mean"],
        over_images=(float(low[0]), float(high[0])),
        over_seeds=spread["ci95"],
        mcnemar=tuple(mcnemar(one, other) for one, other in zip(*right, strict=True)),
        macro_f1=float(whole[1]),
        macro_f1_over_images=(float(low[1]), float(high[1])),
        recall=tuple(np.where(counts > 0, recall, math.nan).tolist()),
    )
