"""The compiled programs: input, model and update of a batch as one function of arrays each.

`table` is the split on the device, or None where the batch carries its pixels (see `pipeline`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from ferjax.data.pipeline import batches
from ferjax.data.pipeline.augment import Augmentation, example_keys
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.evaluation import views
from ferjax.evaluation.evaluator import States
from ferjax.models import functional
from ferjax.random_streams import ExampleStream, of_example
from ferjax.training import step


def training(
    recipe: step.Recipe,
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
    state_shardings: Any,
    draws_labels: bool = False,
) -> jax.stages.Wrapped:
    """`(state, table, batch) -> (state, metrics)`; the state is donated and stays where it was.

    Where examples come with distributions over the classes, these are the targets of the
    cross-entropy; with `draws_labels` a class is drawn from them at each visit, and is the label.
    """

    def run(
        state: step.TrainState, table: batches.Table | None, batch: batches.Batch
    ) -> tuple[step.TrainState, step.Metrics]:
        images, labels, targets, keys = _augmented(table, batch, augmentation, seed)
        model_keys = _apart(keys, ExampleStream.MODEL)
        if draws_labels and targets is not None:
            labels = drawn_labels(_apart(keys, ExampleStream.LABEL), targets)
            targets = None
        return step.train_step(recipe, state, preprocessing(images), labels, model_keys, targets)

    placed = (state_shardings, sharding.replicated(mesh))
    return jax.jit(run, donate_argnums=0, out_shardings=placed)


def training_images(
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
) -> jax.stages.Wrapped:
    """`(table, batch) -> images [B, S, S, C]`: what `training` does before the model."""

    def run(table: batches.Table | None, batch: batches.Batch) -> jax.Array:
        images, _, _, _ = _augmented(table, batch, augmentation, seed)
        return preprocessing(images)

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


def prediction(
    graphdef: nnx.GraphDef, *, preprocessing: Preprocessing, mesh: jax.sharding.Mesh | None = None
) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> probabilities float32 [B, K]`; grey levels of any type."""

    def run(weights: functional.Weights, images: jax.Array) -> jax.Array:
        return functional.probabilities(graphdef, weights, preprocessing(images))

    return jax.jit(run, out_shardings=None if mesh is None else sharding.by_batch(mesh))


def evaluation(
    predict: jax.stages.Wrapped, *, names: tuple[str, ...], mesh: jax.sharding.Mesh
) -> Callable[[functional.Weights, batches.Table | None, batches.Batch], States]:
    """`(weights, table, batch) -> states[view][group]` for the named views.

    `predict` is `prediction`'s program: all views share it, so that a model is compiled once for
    validation and test and sees each image of overlapping views once.
    """
    parts = {name: views.parts(name) for name in names}
    everything = tuple(dict.fromkeys(part for name in names for part in parts[name]))
    by_batch = sharding.by_batch(mesh)

    def show(
        table: batches.Table | None, batch: batches.Batch, part: views.Part
    ) -> tuple[jax.Array, jax.Array]:
        images, labels, _ = batches.gather(table, batch)
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

    def run(
        weights: functional.Weights, table: batches.Table | None, batch: batches.Batch
    ) -> States:
        probabilities = {}
        for part in everything:
            images, labels = compiled_show(table, batch, part=part)
            probabilities[part] = predict(weights, images)
        seen = {name: [probabilities[part] for part in parts[name]] for name in names}
        return compiled_count(seen, labels, batch.groups)

    return run


def drawn_labels(keys: Key[Array, " B"], targets: Float[Array, "B K"]) -> Int[Array, " B"]:
    """A class for each example, drawn from its distribution (Barsoum et al. 2016, section 3.2)."""
    return jax.vmap(jax.random.categorical)(keys, jnp.log(targets)).astype(jnp.int32)


@jax.named_scope("input")
def _augmented(
    table: batches.Table | None, batch: batches.Batch, augmentation: Augmentation, seed: int
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Augmented images in grey levels, labels, targets, and the examples' keys."""
    images, labels, targets = batches.gather(table, batch)
    keys = example_keys(seed, batch.epoch, batch.indices, batch.visits)
    return augmentation(images, keys), labels, targets, keys


def _apart(keys: jax.Array, stream: ExampleStream) -> jax.Array:
    return jax.vmap(lambda key: of_example(key, stream))(keys)
