"""The objective of a training step, put together from the losses.

Shapes: B batch, K classes, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ferjax import losses
from ferjax.errors import UserError

NAMES = ("softmax", "center", "island")
CENTER_UPDATES = ("rule", "gradient")
PAIRWISE_TERMS = ("centers", "features")


@dataclasses.dataclass(frozen=True)
class Objective:
    """The objective of a training step: L_S, L_S + lambda L_C, or L_S + lambda L_island.

    Attributes:
      name: "softmax", "center" or "island".
      weight: lambda.
      pairwise_weight: lambda_1 of the island loss.
      reduction: divisor of the center loss, "mean", "sum" or "element" (see `losses.center_loss`).
      distance: distance to the centre in the center loss, "squared" or "norm" (likewise).
      center_update: "rule" (`update_centers`) or "gradient" (`update_centers_by_gradient`).
      pairwise_on: what the pairwise term of the island loss moves. "centers": only the centres, by
        their update, as in the paper's equations; its gradient does not reach the network.
        "features": it uses the centres after the batch's update (`moved_centers`), so its gradient
        reaches the features; the stored centres are updated without it.
      alpha: learning rate of the centres.
      label_smoothing: share of each target that is spread evenly over all classes.
      class_weights: weights of the K classes in the cross-entropy; () for equal ones.

    Raises:
      ValueError: a name that does not exist.
    """

    name: str = "softmax"
    weight: float = 0.5
    pairwise_weight: float = 0.5
    reduction: str = "mean"
    distance: str = "squared"
    center_update: str = "rule"
    pairwise_on: str = "centers"
    alpha: float = 0.5
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for field, choices in (
            ("name", NAMES),
            ("reduction", losses.REDUCTIONS),
            ("distance", losses.DISTANCES),
            ("center_update", CENTER_UPDATES),
            ("pairwise_on", PAIRWISE_TERMS),
        ):
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} is {getattr(self, field)!r}; expected one of {choices}")

    @property
    def has_centers(self) -> bool:
        """Whether the state carries class centres."""
        return self.name != "softmax"

    def loss(
        self,
        logits: Float[Array, "B K"],
        features: Float[Array, "B D"],
        labels: Int[Array, " B"],
        centers: Float[Array, "K D"] | None,
        *,
        targets: Float[Array, "B K"] | None = None,
        mean_weight: Float[Array, ""] | None = None,
        parts: int = 1,
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """Returns the total and its terms by name (unweighted).

        With `parts` > 1 the arrays are one of that many equal parts of a batch, and the results,
        averaged over the parts, equal those of the whole batch; with class weights this needs the
        `mean_weight` of the whole batch.

        Args:
          logits: the classifier's output.
          features: the classifier's input.
          labels: classes.
          centers: one row per class, or None.
          targets: distributions for the cross-entropy, instead of the labels.
          mean_weight: `mean_weight()` of the whole batch; None: of these examples.
          parts: how many parts the batch has.
        """
        softmax = self._softmax(logits, labels if targets is None else targets, mean_weight)
        if centers is None:
            return softmax, {"softmax_loss": softmax}
        centers = jax.lax.stop_gradient(centers)
        center = losses.center_loss(
            features, labels, centers, reduction=self.reduction, distance=self.distance
        )
        if self.reduction == "sum":
            center = center * parts
        terms = {"softmax_loss": softmax, "center_loss": center}
        auxiliary = center
        if self.name == "island":
            if self.pairwise_on == "features":
                centers = losses.moved_centers(centers, features, labels, self.alpha)
            terms["pairwise_cosine"] = losses.pairwise_cosine(centers)
            auxiliary = center + self.pairwise_weight * terms["pairwise_cosine"]
        return softmax + self.weight * auxiliary, terms

    def mean_weight(
        self, labels: Int[Array, " B"] | Float[Array, "B K"]
    ) -> Float[Array, ""] | None:
        """The mean weight of the examples' classes; `loss` divides by it.

        None without class weights, and for distributions: then `loss` divides by the number of
        examples alone (see `losses.cross_entropy`).
        """
        if not self.class_weights or not jnp.issubdtype(labels.dtype, jnp.integer):
            return None
        return jnp.mean(jnp.asarray(self.class_weights, jnp.float32)[labels])

    def _softmax(
        self,
        logits: Float[Array, "B K"],
        targets: Int[Array, " B"] | Float[Array, "B K"],
        mean_weight: Float[Array, ""] | None,
    ) -> Float[Array, ""]:
        smoothing = self.label_smoothing
        if not self.class_weights:
            return losses.cross_entropy(logits, targets, label_smoothing=smoothing)
        weights = jnp.asarray(self.class_weights, jnp.float32)
        mean = losses.cross_entropy(logits, targets, weights=weights, label_smoothing=smoothing)
        own = self.mean_weight(targets)
        if own is None or mean_weight is None:
            return mean
        # Divided by the weights of the whole batch, not of its part.
        return mean * own / jnp.maximum(mean_weight, losses.EPSILON)

    def update(
        self,
        centers: Float[Array, "K D"],
        features: Float[Array, "B D"],
        labels: Int[Array, " B"],
    ) -> Float[Array, "K D"]:
        """Moves the centres by the chosen rule, after a batch."""
        moved_by_pairs = self.name == "island" and self.pairwise_on == "centers"
        pairwise_weight = self.pairwise_weight if moved_by_pairs else 0.0
        if self.center_update == "gradient":
            return losses.update_centers_by_gradient(
                centers,
                features,
                labels,
                self.alpha,
                pairwise_weight,
                reduction=self.reduction,
                distance=self.distance,
            )
        return losses.update_centers(centers, features, labels, self.alpha, pairwise_weight)


def balanced_weights(counts: Sequence[int] | Sequence[float]) -> tuple[float, ...]:
    """N / (K n_k) for each class: classes count alike, and the mean over the examples is 1.

    Args:
      counts: n_k, how many of the N training examples each of the K classes has; sums of target
        probabilities for soft labels.

    Raises:
      UserError: a class without examples, whose weight would be infinite.
    """
    if 0 in counts:
        raise UserError(
            f"loss.class_weights is balanced, but class {list(counts).index(0)} has no training "
            "example; give one weight for each class instead."
        )
    return tuple(sum(counts) / (len(counts) * count) for count in counts)


def given_weights(text: str, names: Sequence[str]) -> tuple[float, ...]:
    """Reads one weight for each of the classes `names`, joined by "+".

    Raises:
      UserError: another number of weights.
    """
    weights = tuple(map(float, text.split("+")))
    if len(weights) != len(names):
        raise UserError(
            f"loss.class_weights has {len(weights)} numbers, {text!r}; expected {len(names)}, one "
            f"for each class: {', '.join(names)}."
        )
    return weights
