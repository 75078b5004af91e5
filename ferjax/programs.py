"""The compiled programs: input, model and update of a batch as one function of arrays each.

`table` is the split on the device, or None where the batch carries its pixels (see `pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
from flax import nnx

from ferjax import sharding, step
from ferjax.data import pipeline, views
from ferjax.data.augment import Augmentation, example_keys
from ferjax.data.preprocess import Preprocessing
from ferjax.evaluation import States

# What the model draws is apart from what the augmentation draws (see `augment`).
MODEL = 2


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
        images, labels, keys = _augmented(table, batch, augmentation, seed)
        model_keys = jax.vmap(lambda key: jax.random.fold_in(key, MODEL))(keys)
        return step.train_step(recipe, state, preprocessing(images), labels, model_keys)

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
        images, _, _ = _augmented(table, batch, augmentation, seed)
        return preprocessing(images)

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


def prediction(
    graphdef: nnx.GraphDef, *, preprocessing: Preprocessing, mesh: jax.sharding.Mesh | None = None
) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> probabilities float32 [B, K]`; grey levels of any type."""

    def run(weights: step.Weights, images: jax.Array) -> jax.Array:
        return step.probabilities(graphdef, weights, preprocessing(images))

    return jax.jit(run, out_shardings=None if mesh is None else sharding.by_batch(mesh))


def evaluation(
    predict: jax.stages.Wrapped, *, names: tuple[str, ...], mesh: jax.sharding.Mesh
) -> Callable[[step.Weights, pipeline.Table | None, pipeline.Batch], States]:
    """`(weights, table, batch) -> states[view][group]` for the named views.

    `predict` is `prediction`'s program: all views share it, so that a model is compiled once for
    validation and test and sees each image of overlapping views once.
    """
    parts = {name: views.parts(name) for name in names}
    everything = tuple(dict.fromkeys(part for name in names for part in parts[name]))
    by_batch = sharding.by_batch(mesh)

    def show(
        table: pipeline.Table | None, batch: pipeline.Batch, part: views.Part
    ) -> tuple[jax.Array, jax.Array]:
        images, labels = pipeline.gather(table, batch)
        return views.show(images, part), labels

    def count(
        seen: Mapping[str, Sequence[jax.Array]],
        labels: jax.Array,
        groups: Mapping[str, jax.Array],
    ) -> States:
        return {
            name: step.count(sum(each[1:], each[0]) / len(each), labels, groups)
            for name, each in seen.items()
        }

    compiled_show = jax.jit(show, static_argnames="part", out_shardings=by_batch)
    compiled_count = jax.jit(count, out_shardings=sharding.replicated(mesh))

    def run(weights: step.Weights, table: pipeline.Table | None, batch: pipeline.Batch) -> States:
        probabilities = {}
        for part in everything:
            images, labels = compiled_show(table, batch, part=part)
            probabilities[part] = predict(weights, images)
        seen = {name: [probabilities[part] for part in parts[name]] for name in names}
        return compiled_count(seen, labels, batch.groups)

    return run


def _augmented(
    table: pipeline.Table | None, batch: pipeline.Batch, augmentation: Augmentation, seed: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Augmented images in grey levels, labels, and the examples' keys."""
    images, labels = pipeline.gather(table, batch)
    keys = example_keys(seed, batch.epoch, batch.indices)
    return augmentation(images, keys), labels, keys
