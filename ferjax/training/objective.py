"""What a training step minimises, put together from the losses.

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
    """What a training step minimises: L_S, L_S + lambda L_C, or L_S + lambda L_island.

    Attributes:
      name: "softmax", "center" or "island".
      weight: lambda.
      pairwise_weight: lambda_1 of the island loss.
      reduction: of the center loss, "mean", "sum" or "element".
      distance: of the center loss, "squared" or "norm".
      center_update: "rule" (`update_centers`) or "gradient" (`update_centers_by_gradient`).
      pairwise_on: what the pairwise term of the island loss moves. "centers": the centres alone, by
        their update, as the paper's equations say; no gradient of it reaches the network.
        "features": it is taken on the centres as the batch moves them (`moved_centers`), so that
        its gradient reaches the features of the batch, and the centres follow their classes alone.
      alpha: learning rate of the centres.
      label_smoothing: of the cross-entropy.
      class_weights: of the K classes in the cross-entropy; () for equal ones.

    Raises:
      ValueError: a name that does not exist, which would train something else.
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

        With `parts` > 1 the arrays are one of that many equal parts of a batch, and the means over
        the parts of what is returned are the values of the whole batch, for either reduction; with
        class weights that takes the `mean_weight` of the whole batch.

        Args:
          logits: of the classifier.
          features: its input.
          labels: classes.
          centers: of the classes, or None.
          targets: distributions for the cross-entropy, instead of the labels.
          mean_weight: what `mean_weight` says of the whole batch; that of these examples if None.
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
        """The mean over examples of the weight of their class, by which `loss` divides.

        None where it divides by the number of examples alone: without class weights, and for
        distributions (see `losses.cross_entropy`).
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
        # Divided by the weights of the whole batch, not by those of its part.
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
      counts: n_k, how many of the N training examples each of the K classes has; sums of shares
        where examples are shared between classes.

    Raises:
      UserError: a class without examples, whose weight would be infinite.
    """
    if 0 in counts:
        raise UserError(
            f"class_weights is balanced, but class {list(counts).index(0)} has no training "
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
            f"class_weights has {len(weights)} numbers, {text!r}; expected {len(names)}, one for "
            f"each class: {', '.join(names)}."
        )
    return weights
