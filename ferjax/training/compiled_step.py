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
from ferjax.data.pipeline import mixup as mixing
from ferjax.data.pipeline.augment import Augmentation, example_keys
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.evaluation import views
from ferjax.evaluation.class_geometry import batch_sums
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
    num_classes: int,
    mixup: float = 0.0,
    draws_labels: bool = False,
) -> jax.stages.Wrapped:
    """`(state, table, batch) -> (state, metrics)`; the state is donated and stays where it was.

    Where examples come with distributions over the classes, these are the targets of the
    cross-entropy; with `draws_labels` a class is drawn from them at each visit, and is the label.

    With `mixup`, alpha of Beta(alpha, alpha), the augmented images are mixed, and the targets are
    the mixed distributions over the `num_classes` classes. What takes one class of an example, the
    center loss, the update of the centres and the count of correct answers, takes that of the image
    with the larger share (see `mixup.mix`).
    """

    def run(
        state: step.TrainState, table: batches.Table | None, batch: batches.Batch
    ) -> tuple[step.TrainState, step.Metrics]:
        images, labels, targets, keys = _augmented(table, batch, augmentation, seed)
        model_keys = _apart(keys, ExampleStream.MODEL)
        if draws_labels and targets is not None:
            labels = drawn_labels(_apart(keys, ExampleStream.LABEL), targets)
            targets = None
        if mixup:
            share = mixing.shares(keys, mixup)
            images, labels, targets = mixing.mix(images, labels, targets, share, num_classes)
        return step.train_step(recipe, state, preprocessing(images), labels, model_keys, targets)

    placed = (state_shardings, sharding.replicated(mesh))
    return jax.jit(run, donate_argnums=0, out_shardings=placed)


def training_images(
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
    num_classes: int,
    mixup: float = 0.0,
) -> jax.stages.Wrapped:
    """`(table, batch) -> images [B, S, S, C]`: what `training` does before the model."""

    def run(table: batches.Table | None, batch: batches.Batch) -> jax.Array:
        images, labels, _, keys = _augmented(table, batch, augmentation, seed)
        if mixup:
            share = mixing.shares(keys, mixup)
            images, _, _ = mixing.mix(images, labels, None, share, num_classes)
        return preprocessing(images)

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


def prediction(graphdef: nnx.GraphDef, *, preprocessing: Preprocessing) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> probabilities float32 [B, K]`; grey levels of any type."""

    def run(weights: functional.Weights, images: jax.Array) -> jax.Array:
        return functional.probabilities(graphdef, weights, preprocessing(images))

    return jax.jit(run)


def scoring(
    graphdef: nnx.GraphDef, *, preprocessing: Preprocessing, mesh: jax.sharding.Mesh
) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> (probabilities [B, K], features [B, D])`, float32."""

    def run(weights: functional.Weights, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, features = functional.forward(graphdef, weights, preprocessing(images))
        return jax.nn.softmax(logits), features

    return jax.jit(run, out_shardings=sharding.by_batch(mesh))


def evaluation(
    score: jax.stages.Wrapped,
    *,
    parts: Mapping[str, tuple[views.Part, ...]],
    mesh: jax.sharding.Mesh,
) -> Callable[..., States]:
    """`(weights, table, batch, add=None) -> states[view][group]` for views by name.

    `parts` has the images of each view (see `views.parts`). `score` is `scoring`'s program: all
    views share it, so that a model is compiled once for validation and test and sees each image of
    overlapping views once. `add` is called with `class_geometry.batch_sums` of each group, of
    the features of the first image of the first view.
    """
    everything = tuple(dict.fromkeys(part for view in parts.values() for part in view))
    # A CPU runs programs side by side, and what one adds or gathers over devices can then wait
    # for another's for good; accelerators run them in turn.
    side_by_side = mesh.size > 1 and mesh.devices.flat[0].platform == "cpu"
    in_turn = jax.block_until_ready if side_by_side else lambda values: values
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
        means = {name: sum(each[1:], each[0]) / len(each) for name, each in seen.items()}
        return step.count(means, labels, groups)

    compiled_show = jax.jit(show, static_argnames="part", out_shardings=by_batch)

    def count_and_sum(
        shown: Mapping[str, Sequence[jax.Array]],
        features: jax.Array,
        labels: jax.Array,
        groups: Mapping[str, jax.Array],
    ) -> tuple[States, dict[str, jax.Array]]:
        # One program: two that add over devices at once can wait for each other on a CPU.
        num_classes = next(iter(shown.values()))[0].shape[1]
        sums = {
            name: batch_sums(features, labels, mask, num_classes) for name, mask in groups.items()
        }
        return count(shown, labels, groups), sums

    compiled_count = jax.jit(count, out_shardings=sharding.replicated(mesh))
    compiled_count_and_sum = jax.jit(count_and_sum, out_shardings=sharding.replicated(mesh))

    def run(
        weights: functional.Weights,
        table: batches.Table | None,
        batch: batches.Batch,
        add: Callable[[Mapping[str, jax.Array]], None] | None = None,
    ) -> States:
        probabilities, features = {}, {}
        for part in everything:
            images, labels = compiled_show(table, batch, part=part)
            probabilities[part], features[part] = in_turn(score(weights, images))
        shown = {name: [probabilities[part] for part in view] for name, view in parts.items()}
        if add is None:
            return in_turn(compiled_count(shown, labels, batch.groups))
        states, sums = compiled_count_and_sum(shown, features[everything[0]], labels, batch.groups)
        add(sums)
        return in_turn(states)

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
