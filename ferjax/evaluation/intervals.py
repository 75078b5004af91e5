"""How far the number of test images leaves a metric open: 95 % intervals.

Shapes: N examples, K classes, R resamples, U units that are drawn, M sums of a unit. Intervals hold
for a fixed model and other images like these; how much another seed changes is another question
(see `metrics.mean_sd_ci`).

Several images of one person are no independent draws. Where persons are known, whole persons are
drawn.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from ferjax.metrics import balanced_accuracy, f1_scores, wilson

LEVEL = 0.95
RESAMPLES = 2000
# With a fixed seed the same predictions have the same intervals.
_SEED = 0
# Numbers that are drawn at a time.
_BATCH = 4_000_000
Interval = tuple[float, float]


def of_scores(
    predicted: Int[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    in_top2: Bool[np.ndarray, " N"],
    losses: Float[np.ndarray, " N"],
    num_classes: int,
    persons: Int[np.ndarray, " N"] | None = None,
) -> dict[str, Interval]:
    """Intervals of accuracy, top2_accuracy, macro_f1, balanced_accuracy and loss.

    Without persons those of accuracy and top2_accuracy are Wilson's, that of the loss is Student's,
    and the others are percentiles of bootstrap resamples of the images. With persons all are
    percentiles of resamples of persons with all their images.
    """
    codes = labels * num_classes + predicted
    known = np.bincount(labels, minlength=num_classes) > 0

    def rates(sums: Float[np.ndarray, "R M"]) -> Float[np.ndarray, "2 R"]:
        counts = sums[:, : num_classes**2].reshape(-1, num_classes, num_classes)
        return np.stack([macro_f1_of_resamples(counts, known), balanced_accuracy(counts)])

    if persons is None:
        kinds, counts = np.unique(codes, return_counts=True)
        low, high = resampled(one_hot(kinds, num_classes**2), counts, rates)
        hits = int((predicted == labels).sum())
        return {
            "accuracy": wilson(hits, len(labels)),
            "top2_accuracy": wilson(int(in_top2.sum()), len(labels)),
            "macro_f1": (float(low[0]), float(high[0])),
            "balanced_accuracy": (float(low[1]), float(high[1])),
            "loss": _student(losses),
        }
    cells = one_hot(codes, num_classes**2)
    more = np.stack([np.ones(len(labels)), predicted == labels, in_top2, losses], axis=1)

    def all_scores(sums: Float[np.ndarray, "R M"]) -> Float[np.ndarray, "5 R"]:
        number, *others = sums[:, num_classes**2 :].T
        return np.concatenate([np.stack(others) / number, rates(sums)])

    low, high = resampled(*by_person(np.concatenate([cells, more], axis=1), persons), all_scores)
    names = ("accuracy", "top2_accuracy", "loss", "macro_f1", "balanced_accuracy")
    return {name: (float(low[at]), float(high[at])) for at, name in enumerate(names)}


def resampled(
    sums: Float[np.ndarray, "U M"],
    counts: Int[np.ndarray, " U"],
    statistic: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of statistics of resamples, with replacement.

    A resample of examples of U kinds is a draw of how many there are of each, from the multinomial
    distribution. For a few kinds this takes no longer with many examples than with few.

    Args:
      sums: what an example of each kind adds to the sums that the statistic needs.
      counts: how many examples of each kind there are.
      statistic: `(sums of each resample [R, M]) -> [S, R]`, S statistics.

    Returns:
      The lower and the upper ends [S].
    """
    rng = np.random.default_rng(_SEED)
    total = int(counts.sum())
    found = []
    for start in range(0, RESAMPLES, most := max(1, _BATCH // len(counts))):
        drawn = rng.multinomial(total, counts / total, size=min(most, RESAMPLES - start))
        found.append(statistic(drawn @ sums))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(found, axis=-1), (tail, 1 - tail), axis=-1)
    return low, high


def by_person(
    rows: Float[np.ndarray, "N M"], persons: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, "U M"], Int[np.ndarray, " U"]]:
    """The sum of the rows of each person, who are all drawn alike."""
    names, numbers = np.unique(persons, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, numbers, rows)
    return sums, np.ones(len(names), np.int64)


def one_hot(codes: Int[np.ndarray, " N"], number: int) -> Float[np.ndarray, "N M"]:
    """A row for each code, with a one in its place."""
    rows = np.zeros((len(codes), number))
    rows[np.arange(len(codes)), codes] = 1.0
    return rows


def macro_f1_of_resamples(
    counts: Float[np.ndarray, "R K K"], known: Bool[np.ndarray, " K"]
) -> Float[np.ndarray, " R"]:
    """macro-F1 of each resample.

    A class that a resample happens to lack has no F1: the mean is over the classes that it has. A
    class that the test images lack (`known` False) counts as 0, as in macro-F1 itself.
    """
    has = counts.sum(axis=2) > 0
    mean = (f1_scores(counts) * has).sum(axis=1) / has.sum(axis=1)
    return mean * known.mean()


def _student(values: Float[np.ndarray, " N"]) -> Interval:
    """Student's interval of a mean; the mean itself for one value."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values))
    return mean - half, mean + half
