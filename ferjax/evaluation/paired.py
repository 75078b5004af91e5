"""Paired comparisons of two models on the same images, each trained with one or more seeds.

Shapes: N examples, K classes, S seeds, R resamples. Accuracies and differences are fractions; a
difference is the second minus the first.
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
from ferjax.evaluation.intervals import Interval
from ferjax.metrics import mean_sd_ci


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
      num_seeds: S.
      accuracy: difference of the accuracies, mean over the seeds.
      over_images: its 95 % interval for these trained models and other images: a paired bootstrap
        that draws images, or persons where they are known, all seeds at once.
      over_seeds: its 95 % interval for other seeds on these images: Student's, of the differences
        seed by seed; None for one seed, and where all differences are equal.
      mcnemar: McNemar's exact test for each seed; none where several images show one person, which
        are no independent draws.
      macro_f1: difference of macro-F1, mean over the seeds.
      macro_f1_over_images: its interval, as for accuracy.
      recall: difference of the recall of each class; NaN for a class without examples.
    """

    num_seeds: int
    accuracy: float
    over_images: Interval
    over_seeds: Interval | None
    mcnemar: tuple[McNemar, ...]
    macro_f1: float
    macro_f1_over_images: Interval
    recall: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """Whether the accuracy is "higher" or "lower", or "open": an interval has zero in it.

        With one seed it is about these two trained models, not about how they were trained.
        """
        found = [self.over_images]
        if self.num_seeds > 1:
            if self.over_seeds is None:
                return "open"
            found.append(self.over_seeds)
        if all(low > 0 for low, _ in found):
            return "higher"
        return "lower" if all(high < 0 for _, high in found) else "open"


def compare(
    first: Sequence[Int[np.ndarray, " N"]],
    second: Sequence[Int[np.ndarray, " N"]],
    labels: Int[np.ndarray, " N"],
    num_classes: int,
    persons: Int[np.ndarray, " N"] | None = None,
) -> Comparison:
    """Compares the predicted classes of two models.

    Args:
      first: the predictions of S runs of the first model.
      second: of the second, in the same order of seeds.
      labels: true classes.
      num_classes: K.
      persons: a number for each person shown; None if they are not known.

    Raises:
      ValueError: not as many runs of each, or none.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} runs cannot be paired with {len(second)}")
    predicted = np.stack([np.stack(first), np.stack(second)])  # [2, S, N]
    right = predicted == labels
    gains = right[1].mean(axis=1) - right[0].mean(axis=1)
    spread = mean_sd_ci(gains.tolist())
    each = right[1].mean(axis=0) - right[0].mean(axis=0)
    low, high, whole = _over_images(predicted, each, labels, num_classes, persons)
    counts = np.bincount(labels, minlength=num_classes)
    recall = np.bincount(labels, weights=each, minlength=num_classes) / np.maximum(counts, 1)
    tests = [mcnemar(one, other) for one, other in zip(*right, strict=True)]
    return Comparison(
        num_seeds=len(first),
        accuracy=spread["mean"],
        over_images=(float(low[0]), float(high[0])),
        over_seeds=spread["ci95"] if spread["sd"] else None,
        mcnemar=() if _repeats(persons) else tuple(tests),
        macro_f1=float(whole[1]),
        macro_f1_over_images=(float(low[1]), float(high[1])),
        recall=tuple(np.where(counts > 0, recall, math.nan).tolist()),
    )


def _over_images(
    predicted: Int[np.ndarray, "2 S N"],
    each: Float[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    num_classes: int,
    persons: Int[np.ndarray, " N"] | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the intervals of the differences in accuracy and macro-F1, and these themselves."""
    sides, seeds, number = predicted.shape
    cells = num_classes**2
    known = np.bincount(labels, minlength=num_classes) > 0
    codes = (labels * num_classes + predicted).reshape(sides * seeds, number)
    columns = [np.ones((number, 1)), each[:, None]]
    rows = np.concatenate([*columns, *(intervals.one_hot(one, cells) for one in codes)], axis=1)

    def statistic(sums: Float[np.ndarray, "R M"]) -> Float[np.ndarray, "2 R"]:
        counts = sums[:, 2:].reshape(len(sums), sides * seeds, num_classes, num_classes)
        f1 = [intervals.macro_f1_of_resamples(counts[:, at], known) for at in range(sides * seeds)]
        gain = np.mean(f1[seeds:], axis=0) - np.mean(f1[:seeds], axis=0)
        return np.stack([sums[:, 1] / sums[:, 0], gain])

    if persons is None:
        # Equal examples are one kind: the rows themselves are large to compare.
        _, at, counts = np.unique(codes, axis=1, return_index=True, return_counts=True)
        units = rows[at], counts
    else:
        units = intervals.by_person(rows, persons)
    return *intervals.resampled(*units, statistic), statistic(rows.sum(axis=0)[None])[:, 0]


def _repeats(persons: Int[np.ndarray, " N"] | None) -> bool:
    """Whether a person is in several images."""
    return persons is not None and len(np.unique(persons)) < len(persons)
