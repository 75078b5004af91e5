"""The losses in NumPy float64, read off their formulas: sums are loops, nothing is vectorised away.

Sun, J. Phys. Conf. Ser. 1952 (2021) 042069; Cai et al. 2018 (island loss); Wen et al. 2016 (center
loss). B batch, K classes, D features: x [B, D] with labels y [B], centres c [K, D].
"""

import numpy as np


def cross_entropy(logits, targets, label_smoothing=0.0):
    """-1/B sum_i sum_k t_ik log p_ik; targets are classes [B] or probabilities [B, K].

    Smoothing by s mixes every target with the uniform distribution: (1 - s) t + s / K.
    """
    logits = np.asarray(logits, np.float64)
    batch, classes = logits.shape
    targets = np.asarray(targets)
    total = 0.0
    for i in range(batch):
        row = logits[i] - logits[i].max()
        log_p = row - np.log(np.sum(np.exp(row)))
        for k in range(classes):
            t = float(targets[i] == k) if targets.ndim == 1 else float(targets[i, k])
            total -= ((1.0 - label_smoothing) * t + label_smoothing / classes) * log_p[k]
    return total / batch


def center_loss(x, y, c, reduction="mean", distance="squared"):
    """1/(2B) sum_i |x_i - c_(y_i)|^2, or without the 1/B, or with 1/(BD); or without the square."""
    total = 0.0
    for i in range(len(x)):
        difference = np.float64(x[i]) - np.float64(c[y[i]])
        square = np.dot(difference, difference)
        total += 0.5 * (square if distance == "squared" else np.sqrt(square))
    return total / {"mean": len(x), "sum": 1, "element": len(x) * len(x[0])}[reduction]


def cosine(a, b):
    """The cosine of the angle between two vectors."""
    return np.dot(a, b) / (np.sqrt(np.dot(a, a)) * np.sqrt(np.dot(b, b)))


def pairwise(c):
    """sum_j sum_(k != j) (cos(c_j, c_k) + 1), over ordered pairs."""
    c = np.asarray(c, np.float64)
    total = 0.0
    for j in range(len(c)):
        for k in range(len(c)):
            if k != j:
                total += cosine(c[j], c[k]) + 1.0
    return total


def island_loss(x, y, c, pairwise_weight, reduction="mean", distance="squared"):
    """L_C + lambda_1 * pairwise."""
    return center_loss(x, y, c, reduction, distance) + pairwise_weight * pairwise(c)


def _bracket(c, j):
    """sum_(k != j) of d cos(c_j, c_k) / d c_j."""
    total = np.zeros_like(c[j])
    norm_j = np.sqrt(np.dot(c[j], c[j]))
    for k in range(len(c)):
        if k != j:
            norm_k = np.sqrt(np.dot(c[k], c[k]))
            total += c[k] / (norm_k * norm_j)
            total -= np.dot(c[k], c[j]) * c[j] / (norm_k * norm_j**3)
    return total


def update_centers_rule(c, x, y, alpha, pairwise_weight):
    """c_j - alpha * dc_j, where dc_j is

    sum_(y_i = j)(c_j - x_i) / (1 + n_j) + lambda_1/(K-1) sum_(k != j) [c_k/(|c_k||c_j|)
    - (c_k . c_j) c_j/(|c_k||c_j|^3)].
    """
    c, x = np.asarray(c, np.float64), np.asarray(x, np.float64)
    updated = np.empty_like(c)
    for j in range(len(c)):
        numerator, count = np.zeros(c.shape[1]), 0
        for i in range(len(x)):
            if y[i] == j:
                numerator += c[j] - x[i]
                count += 1
        delta = numerator / (1 + count) + pairwise_weight / (len(c) - 1) * _bracket(c, j)
        updated[j] = c[j] - alpha * delta
    return updated


def update_centers_gradient(c, x, y, alpha, pairwise_weight):
    """c - alpha * d L_island / d c with the mean center loss; each pair counts twice in the sum."""
    c, x = np.asarray(c, np.float64), np.asarray(x, np.float64)
    updated = np.empty_like(c)
    for j in range(len(c)):
        gradient = 2.0 * pairwise_weight * _bracket(c, j)
        for i in range(len(x)):
            if y[i] == j:
                gradient = gradient + (c[j] - x[i]) / len(x)
        updated[j] = c[j] - alpha * gradient
    return updated
