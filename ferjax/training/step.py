"""The training state and one update of it, as pure functions of arrays.

Shapes: B batch, H W C image (already preprocessed), K classes, D features.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from ferjax.models.functional import Params, Statistics, Weights, merge_model, split_model
from ferjax.random_streams import Stream, root
from ferjax.training import norms
from ferjax.training.objective import Objective

Metrics = dict[str, Float[Array, ""] | Int[Array, ""]]


# Its leaves may also be shapes or shardings, which no check of types is to refuse.
@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that changes while training. A pytree: its leaves may be arrays or their shapes.

    Attributes:
      step: int32 scalar, number of updates made.
      weights: the trained `Weights`.
      opt_state: the state of the optax chain.
      centers: float32 [K, D], or None without a center or island loss.
      average: exponential moving average of the `Weights`, or None.
      scale: float32 scalar, a factor on the schedule's learning rate (see `plateau`).
    """

    step: Int[Array, ""]
    weights: Weights
    opt_state: optax.OptState
    centers: Float[Array, "K D"] | None
    average: Weights | None
    scale: Float[Array, ""]

    @property
    def evaluated(self) -> Weights:
        """The weights that evaluation uses: their average where there is one."""
        return self.weights if self.average is None else self.average

    def split(self) -> tuple[Weights, TrainState]:
        """The evaluated weights, and the state without them, as a checkpoint stores them."""
        if self.average is None:
            return self.weights, self._with(weights=None)
        return self.average, self._with(average=None)

    def joined(self, weights: Weights) -> TrainState:
        """Undoes `split`: the whole state, from this one and `weights`."""
        return self._with(**{"weights" if self.weights is None else "average": weights})

    def _with(self, **fields: Any) -> TrainState:
        return dataclasses.replace(self, **fields)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The fixed part of a training step.

    Attributes:
      graphdef: structure of the model, from `split_model`.
      optimizer: the optax chain.
      objective: the loss.
      accumulation_steps: micro-batches whose gradients are averaged into one update; batch norm
        then uses each micro-batch's statistics, and updates its running averages after each.
      ema_decay: largest decay of the average of the weights and batch statistics, 0 for none; see
        `average_decay`.
      schedule: learning rate by step, to be recorded; the optimizer has its own copy.
    """

    graphdef: nnx.GraphDef
    optimizer: optax.GradientTransformation
    objective: Objective = dataclasses.field(default_factory=Objective)
    accumulation_steps: int = 1
    ema_decay: float = 0.0
    schedule: optax.Schedule | None = None


def init_state(
    recipe: Recipe, weights: Weights, *, num_classes: int, num_features: int, seed: int
) -> TrainState:
    """The state before the first step.

    Args:
      recipe: the fixed part of the step.
      weights: initial weights, from `split_model`.
      num_classes: K.
      num_features: D.
      seed: the seed of the initial centres, drawn from N(0, 1).
    """
    centers = None
    if recipe.objective.has_centers:
        key = root(seed, Stream.CENTERS)
        centers = jax.random.normal(key, (num_classes, num_features), jnp.float32)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        weights=weights,
        opt_state=recipe.optimizer.init(weights.params),
        centers=centers,
        average=jax.tree.map(jnp.copy, weights) if recipe.ema_decay else None,
        scale=jnp.ones((), jnp.float32),
    )


def train_step(
    recipe: Recipe,
    state: TrainState,
    images: Float[Array, "B H W C"],
    labels: Int[Array, " B"],
    keys: Key[Array, " B"] | None = None,
    targets: Float[Array, "B K"] | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of the weights and of the centres.

    Gradients, loss and centres use the whole batch, however many devices hold it.

    Args:
      recipe: the fixed part of the step.
      state: what the step changes.
      images: preprocessed.
      labels: true classes; for a mixed image, the class with the larger share (see `mixup.mix`).
      keys: one random key for each example; models with dropout need them.
      targets: distributions over the classes that replace the labels in the cross-entropy alone:
        the center loss, the update of the centres and `correct` use the labels.

    Returns:
      The new state, and scalars: loss and its terms, correct (int32 count), grad_norm,
      learning_rate if it is known, and finite: 1 where loss, gradient and new parameters are.
    """
    (loss, terms, features, correct, statistics), gradients = _gradients(
        recipe, state, images, labels, keys, targets
    )
    params = state.weights.params
    with jax.named_scope("update"):
        updates, opt_state = recipe.optimizer.update(gradients, state.opt_state, params)
        # Every optimizer here multiplies by the learning rate last, so `scale` scales it.
        updates = jax.tree.map(lambda update: update * state.scale, updates)
        weights = Weights(optax.apply_updates(params, updates), statistics)
    centers = state.centers
    if centers is not None:
        centers = recipe.objective.update(centers, features, labels)
    average = state.average
    if average is not None:
        # In this form weights that do not move, such as a frozen trunk's, are kept to the bit.
        share = 1.0 - average_decay(recipe.ema_decay, state.step)
        average = jax.tree.map(lambda mean, new: mean + share * (new - mean), average, weights)
    grad_norm = norms.norm(gradients)
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    finite &= jnp.isfinite(norms.norm(weights.params))
    metrics = {"loss": loss, **terms, "correct": correct, "grad_norm": grad_norm}
    if recipe.schedule is not None:
        rate = jnp.asarray(recipe.schedule(state.step), jnp.float32)
        metrics["learning_rate"] = rate * state.scale
    metrics["finite"] = finite.astype(jnp.int32)
    state = TrainState(
        step=state.step + 1,
        weights=weights,
        opt_state=opt_state,
        centers=centers,
        average=average,
        scale=state.scale,
    )
    return state, metrics


def average_decay(largest: float, updates: Int[Array, ""]) -> Float[Array, ""]:
    """min(largest, (1 + t) / (10 + t)) for the average after t updates, like TensorFlow's moving
    average.

    A small decay at first, so that the average forgets the start: its share is 1 in 10 after one
    update, and 1 / C(t + 9, 9) after t. With a decay of 0.999 from the beginning an epoch of
    FER2013, 224 updates, would leave 80 % of the random weights.
    """
    updates = updates.astype(jnp.float32)
    return jnp.minimum(largest, (1.0 + updates) / (10.0 + updates))


def _gradients(
    recipe: Recipe,
    state: TrainState,
    images: Float[Array, "B H W C"],
    labels: Int[Array, " B"],
    keys: Key[Array, " B"] | None,
    targets: Float[Array, "B K"] | None,
) -> tuple[tuple, Params]:
    """((loss, terms, features [B, D], correct, statistics), gradients), mean over micro-batches."""
    objective, parts = recipe.objective, recipe.accumulation_steps
    mean_weight = objective.mean_weight(labels if targets is None else targets)

    def loss_of(
        params: Params,
        statistics: Statistics,
        images: Array,
        labels: Array,
        keys: Array | None,
        targets: Array | None,
    ) -> tuple[Array, tuple]:
        model = merge_model(recipe.graphdef, Weights(params, statistics))
        model.train()
        logits, features = model(images, keys)
        loss, terms = objective.loss(
            logits,
            features,
            labels,
            state.centers,
            targets=targets,
            mean_weight=mean_weight,
            parts=parts,
        )
        correct = jnp.sum(jnp.argmax(logits, axis=1) == labels, dtype=jnp.int32)
        _, new = split_model(model)
        return loss, (terms, features, correct, new.statistics)

    differentiate = jax.value_and_grad(loss_of, has_aux=True)
    params, statistics = state.weights.params, state.weights.statistics
    batch = (images, labels, keys, targets)
    if parts == 1:
        (loss, auxiliary), gradients = differentiate(params, statistics, *batch)
        return (loss, *auxiliary), gradients

    (loss, auxiliary), gradients = _over_micro_batches(
        differentiate, params, statistics, batch, parts
    )
    terms, features, correct, statistics = auxiliary
    features = features.swapaxes(0, 1).reshape(images.shape[0], -1)
    return (loss, terms, features, jnp.sum(correct), statistics), gradients


def _over_micro_batches(
    differentiate: Callable[..., tuple[tuple, Params]],
    params: Params,
    statistics: Statistics,
    batch: tuple[Array | None, ...],
    parts: int,
) -> tuple[tuple, Params]:
    """Like `differentiate`, one micro-batch after the other: means of loss, terms and gradients.

    Features and counts of correct answers have a leading axis of micro-batches.
    """

    # Micro-batch j takes rows j, j + parts, ...: every device contributes its own rows.
    def split(rows: Array) -> Array:
        return rows.reshape(rows.shape[0] // parts, parts, *rows.shape[1:]).swapaxes(0, 1)

    def micro_batch(
        carry: tuple[Statistics, Params], rows: tuple[Array | None, ...]
    ) -> tuple[tuple[Statistics, Params], tuple]:
        statistics, total = carry
        (loss, auxiliary), gradients = differentiate(params, statistics, *rows)
        terms, features, correct, statistics = auxiliary
        total = jax.tree.map(jnp.add, total, gradients)
        return (statistics, total), (loss, terms, features, correct)

    start = (statistics, jax.tree.map(jnp.zeros_like, params))
    (statistics, total), (loss, terms, features, correct) = jax.lax.scan(
        micro_batch, start, jax.tree.map(split, batch)
    )
    loss, terms = jax.tree.map(jnp.mean, (loss, terms))
    gradients = jax.tree.map(lambda leaf: leaf / parts, total)
    return (loss, (terms, features, correct, statistics)), gradients
