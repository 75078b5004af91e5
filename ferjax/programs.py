"""The compiled programs: input, model and update of a batch as one function of arrays each.

`table` is the split on the device, or None where the batch carries its pixels (see `pipeline`).
"""

from __future__ import annotations

import jax
from flax import nnx

from ferjax import sharding, step
from ferjax.data import pipeline, views
from ferjax.data.augment import Augmentation, example_keys
from ferjax.data.preprocess import Preprocessing
from ferjax.evaluation import States


def training(
    recipe: step.Recipe,
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
) -> jax.stages.Wrapped:
    """`(state, table, batch) -> (state, metrics)`; the state is donated."""

    def run(
        state: step.TrainState, table: pipeline.Table | None, batch: pipeline.Batch
    ) -> tuple[step.TrainState, step.Metrics]:
        images, labels = _augmented(table, batch, augmentation, seed)
        return step.train_step(recipe, state, preprocessing(images), labels)

    return jax.jit(run, donate_argnums=0, out_shardings=sharding.replicated(mesh))


def training_images(
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
) -> jax.stages.Wrapped:
    """`(table, batch) -> images [B, S, S, C]`: what `training` does before the model."""

    def run(table: pipeline.Table | None, batch: pipeline.Batch) -> jax.Array:
        images, _ = _augmented(table, batch, augmentation, seed)
        return preprocessing(images)

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


def evaluation(
    graphdef: nnx.GraphDef,
    *,
    preprocessing: Preprocessing,
    names: tuple[str, ...],
    mesh: jax.sharding.Mesh,
) -> jax.stages.Wrapped:
    """`(weights, table, batch) -> states[view][group]` for the named views."""
    for name in names:
        views.check(name)
    each = jax.vmap(preprocessing)

    def run(weights: step.Weights, table: pipeline.Table | None, batch: pipeline.Batch) -> States:
        images, labels = pipeline.gather(table, batch)
        shown = {name: each(views.views(images, name)) for name in names}
        return step.eval_step(graphdef, weights, shown, labels, batch.groups)

    return jax.jit(run, out_shardings=sharding.replicated(mesh))


def prediction(graphdef: nnx.GraphDef, *, preprocessing: Preprocessing) -> jax.stages.Wrapped:
    """`(weights, images uint8 [B, h, w, c]) -> probabilities float32 [B, K]`."""

    def run(weights: step.Weights, images: jax.Array) -> jax.Array:
        return step.probabilities(graphdef, weights, preprocessing(images)[None])

    return jax.jit(run)


def _augmented(
    table: pipeline.Table | None, batch: pipeline.Batch, augmentation: Augmentation, seed: int
) -> tuple[jax.Array, jax.Array]:
    """Augmented images in grey levels, and labels."""
    images, labels = pipeline.gather(table, batch)
    return augmentation(images, example_keys(seed, batch.epoch, batch.indices)), labels
