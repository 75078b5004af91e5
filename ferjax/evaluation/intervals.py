"""How far the number of test images leaves a metric open: 95 % intervals.

Shapes: N examples, K classes, R resamples. Intervals hold for a fixed model and other images like
these; how much another seed changes is another question (see `metrics.mean_sd_ci`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from ferjax.metrics import balanced_accuracy, macro_f1

LEVEL = 0.95
RESAMPLES = 2000
# Examples of all resamples that are in memory at a time.
_BATCH = 8_000_000
# With a fixed seed the same predictions have the same intervals.
_SEED = 0
Interval = tuple[float, float]


def share(hits: int, total: int) -> Interval:
    """Wilson's interval of a share of independent examples; `total` is at least 1."""
    found = stats.binomtest(hits, total).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def bootstrap(
    predicted: Int[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    losses: Float[np.ndarray, " N"],
    num_classes: int,
) -> Mapping[str, Interval]:
    """Percentile bootstrap intervals of macro-F1, balanced accuracy and the mean loss.

    A resample that has no example of a class averages over the classes that it has, as
    `metrics.rates` does for balanced accuracy.
    """
    codes = labels.astype(np.int64) * num_classes + predicted

    def statistic(rows: Int[np.ndarray, "R N"]) -> Float[np.ndarray, "3 R"]:
        counts = confusions(codes[rows], num_classes)
        return np.stack([macro_f1(counts), balanced_accuracy(counts), losses[rows].mean(axis=1)])

    low, high = resampled(statistic, len(labels))
    names = ("macro_f1", "balanced_accuracy", "loss")
    return {name: (float(low[at]), float(high[at])) for at, name in enumerate(names)}


def resampled(
    statistic: Callable[[np.ndarray], np.ndarray], number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile intervals of statistics of resampled examples.

    Args:
      statistic: `(rows [R, N]) -> [S, R]`, S statistics of each row of examples.
      number: N.

    Returns:
      The lower and the upper ends [S].
    """
    everything = np.arange(number)
    if number < 2:  # there is nothing to resample
        value = statistic(everything[None])[:, 0]
        return value, value
    found = stats.bootstrap(
        (everything,),
        lambda rows, axis: statistic(rows),
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH // number),
        vectorized=True,
        axis=-1,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return np.asarray(found.low), np.asarray(found.high)


def confusions(codes: Int[np.ndarray, "R N"], num_classes: int) -> Int[np.ndarray, "R K K"]:
    """The confusion matrix of each row of codes, true * K + predicted."""
    cells = num_classes * num_classes
    each = codes + cells * np.arange(len(codes))[:, None]
    counts = np.bincount(each.ravel(), minlength=cells * len(codes))
    return counts.reshape(len(codes), num_classes, num_classes)
