"""Cross-entropy, center and island loss, and the updates of the class centres.

The equations are from Sun 2021, after Wen et al. 2016 (center loss) and Cai et al. 2018 (island
loss). Sun prints the center loss without its square and without 1/B (`distance="norm"`,
`reduction="sum"`); by default it is squared, as in Wen, and divided by B, as the cross-entropy is.

Three functions move centres; `Objective` in training/objective.py calls them. After each batch it
replaces the stored centres: by `update_centers` (center_update=rule) or by
`update_centers_by_gradient` (center_update=gradient). Inside the loss, and only if the pairwise
term acts on the features (pairwise_on=features), it uses `moved_centers` and does not store them.

Shapes: B batch, K classes, D features. Everything is float32.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

EPSILON = 1e-12
REDUCTIONS = ("mean", "sum", "element")
DISTANCES = ("squared", "norm")


def cross_entropy(
    logits: Float[Array, "B K"],
    labels: Int[Array, " B"] | Float[Array, "B K"],
    *,
    weights: Float[Array, " K"] | None = None,
    mask: Shaped[Array, " B"] | None = None,
    label_smoothing: float = 0.0,
) -> Float[Array, ""]:
    """Mean softmax cross-entropy L_S.

    Args:
      logits: unnormalised log-probabilities.
      labels: class indices, or a distribution over the classes for each example.
      weights: weight w of each class. As in PyTorch, the sum of the weighted losses is divided by
        sum_i w[y_i] for class indices and by the number of examples for distributions.
      mask: examples that count (true or 1); all by default.
      label_smoothing: share of the target spread evenly over all classes (Szegedy et al. 2016).

    Returns:
      The mean over the examples that count; 0 when none does.
    """
    targets = smoothed_targets(labels, logits.shape[-1], label_smoothing)
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    importance = jnp.ones(logits.shape[0], jnp.float32)
    if weights is not None:
        if jnp.issubdtype(labels.dtype, jnp.integer):
            importance = weights[labels]
        losses = -jnp.sum(targets * weights[None, :] * log_probabilities, axis=-1)
    else:
        losses = -jnp.sum(targets * log_probabilities, axis=-1)
    if mask is not None:
        keep = mask.astype(jnp.float32)
        losses, importance = losses * keep, importance * keep
    return jnp.sum(losses) / jnp.maximum(jnp.sum(importance), EPSILON)


def center_loss(
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    centers: Float[Array, "K D"],
    *,
    reduction: str = "mean",
    distance: str = "squared",
) -> Float[Array, ""]:
    """L_C = 1/(2B) sum_i ||x_i - c_(y_i)||^2 (Wen et al. 2016, eq. 2, divided by B).

    Args:
      features: x, the input of the classifier.
      labels: y, class indices.
      centers: c, one row per class.
      reduction: "mean" divides the sum by B, "sum" does not, "element" divides by B D: half of
        PyTorch's `mse_loss`.
      distance: "squared", or "norm", ||x_i - c_(y_i)|| without the square, as printed in Sun 2021,
        eq. 2; its gradient at a centre is 0.
    """
    for name, value, choices in (
        ("reduction", reduction, REDUCTIONS),
        ("distance", distance, DISTANCES),
    ):
        if value not in choices:
            raise ValueError(f"{name} is {value!r}; expected one of {choices}")
    squares = jnp.sum(jnp.square(features - centers[labels]), axis=1)
    if distance == "norm":
        apart = squares > EPSILON  # the root of zero has no finite gradient
        squares = jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1.0)), 0.0)
    total = 0.5 * jnp.sum(squares)
    if reduction == "sum":
        return total
    return total / (features.shape[0] if reduction == "mean" else features.size)


def pairwise_cosine(centers: Float[Array, "K D"]) -> Float[Array, ""]:
    """sum_j sum_(k != j) (cos(c_j, c_k) + 1), the pairwise term of `island_loss`: ordered pairs.

    Orthogonal centres of 7 classes give exactly 42; a centre at zero has cosine 0 to the others.
    """
    num_classes = centers.shape[0]
    different = 1.0 - jnp.eye(num_classes, dtype=centers.dtype)
    return jnp.sum(different * (_cosines(centers) + 1.0))


def island_loss(
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    centers: Float[Array, "K D"],
    pairwise_weight: float = 0.5,
    *,
    reduction: str = "mean",
    distance: str = "squared",
) -> Float[Array, ""]:
    """L_island = L_C + lambda_1 sum_j sum_(k != j) (cos(c_j, c_k) + 1) (Cai et al. 2018, eq. 6).

    Args:
      features: x, the input of the classifier.
      labels: y, class indices.
      centers: c, one row per class.
      pairwise_weight: lambda_1.
      reduction: divisor of L_C: "mean" B, "sum" 1, "element" B D.
      distance: "squared", or "norm" for L_C without the square.
    """
    attraction = center_loss(features, labels, centers, reduction=reduction, distance=distance)
    return attraction + pairwise_weight * pairwise_cosine(centers)


def update_centers(
    centers: Float[Array, "K D"],
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    alpha: float = 0.5,
    pairwise_weight: float = 0.5,
    *,
    axis_name: str | None = None,
) -> Float[Array, "K D"]:
    """One step of the centre update rule, outside the optimizer (Cai et al. 2018, eq. 8-9).

    `Objective.update` calls it after each batch, with center_update=rule.

    c_j -= alpha dc_j with

        dc_j = sum_(y_i = j) (c_j - x_i) / (1 + n_j)
             + lambda_1 / (K - 1) sum_(k != j) [ c_k / (|c_k| |c_j|)
                                                 - (c_k . c_j) c_j / (|c_k| |c_j|^3) ]

    Args:
      centers: c, one row per class.
      features: x of the whole batch, or of this device's part of it under `axis_name`.
      labels: y, class indices of the same examples.
      alpha: learning rate of the centres.
      pairwise_weight: lambda_1; 0 is the rule of the center loss.
      axis_name: mapped axis over which per-class sums and counts are added before dividing.

    Returns:
      The new centres; no gradient flows through them.
    """
    centers, features = jax.lax.stop_gradient((centers, features))
    attraction = _attraction(centers, features, labels, axis_name)
    repulsion = _cosine_gradient(centers) * (pairwise_weight / (centers.shape[0] - 1))
    return centers - alpha * (attraction + repulsion)


def moved_centers(
    centers: Float[Array, "K D"],
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    alpha: float = 0.5,
) -> Float[Array, "K D"]:
    """The centres after one step of the center loss's rule, differentiable in the features.

    `Objective.loss` computes the pairwise term from them with pairwise_on=features.
    `update_centers` with pairwise_weight 0 has the same value and no gradient. The centre of a
    class without an example in the batch does not move.
    """
    return centers - alpha * _attraction(centers, features, labels, None)


def _attraction(
    centers: Float[Array, "K D"],
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    axis_name: str | None,
) -> Float[Array, "K D"]:
    """sum_(y_i = j) (c_j - x_i) / (1 + n_j) for every j."""
    members = jax.nn.one_hot(labels, centers.shape[0], dtype=centers.dtype)
    counts = jnp.sum(members, axis=0)
    sums = jnp.dot(members.T, features, precision=jax.lax.Precision.HIGHEST)
    if axis_name is not None:
        counts, sums = jax.lax.psum((counts, sums), axis_name)
    return (counts[:, None] * centers - sums) / (1.0 + counts[:, None])


def update_centers_by_gradient(
    centers: Float[Array, "K D"],
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    alpha: float = 0.5,
    pairwise_weight: float = 0.5,
    *,
    reduction: str = "mean",
    distance: str = "squared",
) -> Float[Array, "K D"]:
    """The alternative to the rule: c -= alpha dL_island/dc by automatic differentiation.

    `Objective.update` calls it after each batch, with center_update=gradient. The gradient of the
    ordered double sum is twice the bracket of the rule. The attraction is divided by the divisor of
    L_C (B for "mean") instead of 1 + n_j.

    Args:
      centers: c, one row per class.
      features: x of the whole batch.
      labels: y, class indices of the same examples.
      alpha: learning rate of the centres.
      pairwise_weight: lambda_1; 0 for the gradient of the center loss.
      reduction: divisor of L_C: "mean" B, "sum" 1, "element" B D.
      distance: "squared", or "norm" for L_C without the square.

    Returns:
      The new centres; no gradient flows through them.
    """
    centers, features = jax.lax.stop_gradient((centers, features))
    gradient = jax.grad(
        lambda c: island_loss(
            features, labels, c, pairwise_weight, reduction=reduction, distance=distance
        )
    )(centers)
    return centers - alpha * gradient


def smoothed_targets(
    labels: Int[Array, " B"] | Float[Array, "B K"], num_classes: int, share: float
) -> Float[Array, "B K"]:
    """Labels as distributions; `share` of each distribution is spread evenly over all classes."""
    if labels.ndim == 2:
        targets = labels.astype(jnp.float32)
    else:
        targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    return (1.0 - share) * targets + share / num_classes if share else targets


def _unit(centers: Float[Array, "K D"]) -> tuple[Float[Array, "K D"], Float[Array, "K 1"]]:
    """Unit vectors and norms; norms are at least sqrt(EPSILON), for the gradient of the root."""
    norms = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(centers), axis=1, keepdims=True), EPSILON))
    return centers / norms, norms


def _cosines(centers: Float[Array, "K D"]) -> Float[Array, "K K"]:
    units, _ = _unit(centers)
    return jnp.dot(units, units.T, precision=jax.lax.Precision.HIGHEST)


def _cosine_gradient(centers: Float[Array, "K D"]) -> Float[Array, "K D"]:
    """sum_(k != j) [ c_k / (|c_k| |c_j|) - (c_k . c_j) c_j / (|c_k| |c_j|^3) ] for every j."""
    units, norms = _unit(centers)
    different = 1.0 - jnp.eye(centers.shape[0], dtype=centers.dtype)
    cosines = different * _cosines(centers)
    towards = jnp.dot(different, units, precision=jax.lax.Precision.HIGHEST)
    along = jnp.sum(cosines, axis=1, keepdims=True) * units
    return (towards - along) / norms
