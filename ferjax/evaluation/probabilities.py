"""Metrics of predicted probabilities: top-k, log-loss, calibration, and a temperature.

Shapes: N examples, K classes. Probabilities are rows that sum to 1; computed in float64.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import optimize, special

# Equal bins of confidence between 0 and 1, as in Guo et al. 2017.
BINS = 15
_TINY = float(np.finfo(np.float32).tiny)
# A temperature is sought between these.
_LEAST, _MOST = 1e-2, 1e2


def in_top(
    probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"], k: int
) -> Bool[np.ndarray, " N"]:
    """Whether the true class is among the k most probable; of equal ones the first counts.

    Its mean is scikit-learn's `top_k_accuracy_score`.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(axis=1)


def losses(
    probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """-log of the probability of the true class; its mean is scikit-learn's `log_loss`."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(chosen, _TINY))


def calibration_error(
    probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"], bins: int = BINS
) -> float:
    """Expected calibration error of the predicted class (Guo et al. 2017, eq. 3).

    Examples go by their confidence, the largest probability, into equal bins (low, high]. The error
    is the mean over the bins, weighted by their examples, of |accuracy - mean confidence|.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def scaled(probabilities: Float[np.ndarray, "N K"], temperature: float) -> Float[np.ndarray, "N K"]:
    """softmax(log p / T), the probabilities of logits that were divided by T.

    The order of a row stays: equal ones stay equal, and none that is smaller becomes the largest.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), _TINY))
    # The largest of a row becomes exactly 0 before it is divided, so that it stays the largest.
    return special.softmax((logs - logs.max(axis=1, keepdims=True)) / temperature, axis=1)


def fit_temperature(
    probabilities: Float[np.ndarray, "N K"], labels: Int[np.ndarray, " N"]
) -> float:
    """The temperature T with the least log-loss of `scaled` (Guo et al. 2017, section 4.2).

    The loss is convex in 1/T. T lies between 0.01 and 100: the ends are for a model that is never
    wrong here, or whose best guess is a uniform one.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), _TINY))
    logs -= logs.max(axis=1, keepdims=True)
    chosen = logs[np.arange(len(labels)), labels]

    def loss(log_inverse: float) -> float:
        inverse = math.exp(log_inverse)
        return float(np.mean(special.logsumexp(inverse * logs, axis=1) - inverse * chosen))

    bounds = (-math.log(_MOST), -math.log(_LEAST))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # Never worse than no temperature at all, where the loss is flat.
    best = min((0.0, float(found.x)), key=loss)
    return math.exp(-best)
