"""The compiled training step: input, model and update of a batch as one function of arrays.

`table` is the split on the device, or None where the batch carries its pixels (see `batches`).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ferjax.data.pipeline import batches
from ferjax.data.pipeline import mixup as mixing
from ferjax.data.pipeline.augment import Augmentation, example_keys
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import compiler, sharding
from ferjax.random_streams import ExampleStream, of_example
from ferjax.training import step


def training(
    recipe: step.Recipe,
    *,
    augmentation: Augmentation,
    preprocessing: Preprocessing,
    seed: int,
    mesh: jax.sharding.Mesh,
    state_shardings: step.TrainState,
    num_classes: int,
    mixup: float = 0.0,
    draws_labels: bool = False,
) -> jax.stages.Wrapped:
    """`(state, table, batch) -> (state, metrics)`; the state is donated and stays where it was.

    If examples have distributions over the classes, these are the targets of the cross-entropy;
    with `draws_labels` the label is instead a class drawn from them at each visit.

    With `mixup`, alpha of Beta(alpha, alpha), the augmented images are mixed, and the targets are
    the mixed distributions over the `num_classes` classes. The center loss, the update of the
    centres and the count of correct answers use the class of the image with the larger share (see
    `mixup.mix`).
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
        images = preprocessing(images)
        # Tells the model how many devices share the batch (`ops.gradients.of_a_device`).
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return step.train_step(recipe, state, images, labels, model_keys, targets)

    placed = (state_shardings, sharding.replicated(mesh))
    options = compiler.options(mesh.devices.flat[0].platform)
    return jax.jit(run, donate_argnums=0, out_shardings=placed, compiler_options=options)


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


def drawn_labels(keys: Key[Array, " B"], targets: Float[Array, "B K"]) -> Int[Array, " B"]:
    """A class for each example, drawn from its distribution (Barsoum et al. 2016, section 3.2)."""
    return jax.vmap(jax.random.categorical)(keys, jnp.log(targets)).astype(jnp.int32)


@jax.named_scope("input")
def _augmented(
    table: batches.Table | None, batch: batches.Batch, augmentation: Augmentation, seed: int
) -> tuple[jax.Array, jax.Array, jax.Array | None, jax.Array]:
    """Augmented images in grey levels, labels, targets, and the examples' keys."""
    images, labels, targets = batches.gather(table, batch)
    epoch, indices, visits = jax.tree.map(jnp.asarray, (batch.epoch, batch.indices, batch.visits))
    keys = example_keys(seed, epoch, indices, visits)
    return augmentation(images, keys), labels, targets, keys


def _apart(keys: jax.Array, stream: ExampleStream) -> jax.Array:
    return jax.vmap(lambda key: of_example(key, stream))(keys)
