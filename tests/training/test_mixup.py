"""Mixup in the training step: losses, centres, devices, micro-batches, smoothing, votes."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import losses
from ferjax.data.pipeline import mixup
from ferjax.data.pipeline.augment import Augmentation, example_keys
from ferjax.data.pipeline.batches import Batch
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.models import functional
from ferjax.training import compiled_step
from tests.training import test_step

ALPHA, SEED, SIZE, ROWS = 0.7, 3, test_step.SIZE, 16
PREPROCESSING = Preprocessing((SIZE, SIZE, 1), SIZE, (0.5,), (0.25,))


def batch_of(distributions=False):
    """16 random images, in an order of their own, so that rows are not examples."""
    rng = np.random.default_rng(1)
    return Batch(
        indices=rng.permutation(ROWS).astype(np.int32),
        groups={},
        epoch=np.int32(2),
        images=rng.integers(0, 256, (ROWS, SIZE, SIZE, 1)).astype(np.uint8),
        labels=rng.integers(0, 7, ROWS).astype(np.int32),
        targets=rng.dirichlet(np.ones(7), ROWS).astype(np.float32) if distributions else None,
    )


def first_step(*, distributions=False, smoothing=0.0, alpha=ALPHA, **fields):
    recipe, state = test_step.parts(attention=None, **fields)
    objective = dataclasses.replace(recipe.objective, label_smoothing=smoothing)
    recipe = dataclasses.replace(recipe, objective=objective)
    mesh = sharding.make_mesh()
    before = jax.tree.map(jnp.copy, state)  # the step consumes its own
    state = sharding.replicate(state, mesh)
    update = compiled_step.training(
        recipe,
        augmentation=Augmentation(),
        preprocessing=PREPROCESSING,
        seed=SEED,
        mesh=mesh,
        state_shardings=jax.tree.map(lambda leaf: leaf.sharding, state),
        num_classes=7,
        mixup=alpha,
    )
    state, metrics = update(state, None, sharding.shard_batch(batch_of(distributions), mesh))
    return recipe, before, state, jax.device_get(metrics)


def by_hand(recipe, before, batch):
    """Shares, logits and features of the mixed images, by NumPy and the model alone."""
    keys = example_keys(SEED, jnp.int32(2), jnp.asarray(batch.indices))
    share = np.asarray(mixup.shares(keys, ALPHA), np.float64)
    wide = share[:, None, None, None]
    grey = batch.images.astype(np.float64)
    images = (wide * grey + (1 - wide) * grey[::-1]) / 255.0
    model = functional.merge_model(recipe.graphdef, before.weights)
    model.train()
    logits, features = model(jnp.asarray((images - 0.5) / 0.25, jnp.float32))
    return share, np.asarray(logits, np.float64), features


@pytest.mark.parametrize(("distributions", "smoothing"), [(True, 0.0), (False, 0.1)])
def test_cross_entropy_is_of_both_classes_and_centers_are_of_the_larger(distributions, smoothing):
    recipe, before, state, metrics = first_step(distributions=distributions, smoothing=smoothing)
    batch = batch_of(distributions)
    share, logits, features = by_hand(recipe, before, batch)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def entropy(rows):
        """The cross-entropy of each row of the batch with the target of another."""
        target = batch.targets[rows] if distributions else np.eye(7)[batch.labels[rows]]
        target = (1 - smoothing) * target + smoothing / 7
        return -(target * log_probabilities).sum(axis=1)

    own, partner = np.arange(ROWS), np.arange(ROWS)[::-1]
    expected = (share * entropy(own) + (1 - share) * entropy(partner)).mean()
    assert metrics["softmax_loss"] == pytest.approx(expected, rel=1e-4)
    # One class of each mixture, that of its larger share, is what the centres know.
    labels = np.where(share >= 0.5, batch.labels, batch.labels[::-1])
    assert (labels != batch.labels).any(), "else this would not tell the two apart"
    distances = np.asarray(features) - np.asarray(before.centers)[labels]
    center = 0.5 * np.square(distances, dtype=np.float64).sum() / ROWS
    assert metrics["center_loss"] == pytest.approx(center, rel=1e-4)
    moved = losses.update_centers(jnp.asarray(before.centers), features, jnp.asarray(labels))
    np.testing.assert_allclose(state.centers, moved, atol=1e-4)
    assert metrics["correct"] == (logits.argmax(axis=1) == labels).sum()


def test_the_images_before_the_model_are_the_mixed_ones():
    batch = batch_of()
    shown = compiled_step.training_images(
        augmentation=Augmentation(),
        preprocessing=PREPROCESSING,
        seed=SEED,
        mesh=sharding.make_mesh(),
        num_classes=7,
        mixup=ALPHA,
    )(None, batch)
    keys = example_keys(SEED, jnp.int32(2), jnp.asarray(batch.indices))
    share = np.asarray(mixup.shares(keys, ALPHA))[:, None, None, None]
    expected = share * batch.images + (1 - share) * batch.images[::-1]
    np.testing.assert_allclose(shown, (expected / 255 - 0.5) / 0.25, atol=1e-4)


DEVICES = """
import json
from tests.training import test_mixup, test_step
out = {}
for steps in (1, 2):
    _, _, state, metrics = test_mixup.first_step(accumulation_steps=steps)
    found = test_step.leaves((state, metrics))
    out[steps] = {name: leaf.ravel().tolist() for name, leaf in found.items()}
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def eight_devices(run_python):
    return json.loads(run_python(DEVICES, devices=8).stdout.splitlines()[-1])


@pytest.mark.parametrize("steps", [1, 2])
def test_eight_devices_mix_the_pairs_of_one(eight_devices, steps):
    _, _, state, metrics = first_step(accumulation_steps=steps)
    for name, value in test_step.leaves((state, metrics)).items():
        found = np.asarray(eight_devices[str(steps)][name])
        np.testing.assert_allclose(found, value.ravel(), atol=2e-5, rtol=2e-5, err_msg=name)


def test_micro_batches_are_made_of_the_mixtures_of_the_whole_batch():
    """Micro-batch j of two takes rows j, j + 2, ...; the partner of a row is in the other one."""
    recipe, before, _, metrics = first_step(accumulation_steps=2)
    batch = batch_of()
    keys = example_keys(SEED, jnp.int32(2), jnp.asarray(batch.indices))
    share = mixup.shares(keys, ALPHA)
    images, labels, targets = mixup.mix(
        jnp.asarray(batch.images, jnp.float32), jnp.asarray(batch.labels), None, share, 7
    )
    forward = jax.jit(functools.partial(_train_forward, recipe.graphdef))
    found = []
    for start in (0, 1):
        logits, features = forward(before.weights, PREPROCESSING(images[start::2]))
        softmax = losses.cross_entropy(logits, targets[start::2])
        center = losses.center_loss(features, labels[start::2], jnp.asarray(before.centers))
        found.append((float(softmax), float(center)))
    softmax, center = np.mean(found, axis=0)
    assert metrics["softmax_loss"] == pytest.approx(softmax, rel=1e-4)
    assert metrics["center_loss"] == pytest.approx(center, rel=1e-4)


def _train_forward(graphdef, weights, images):
    model = functional.merge_model(graphdef, weights)
    model.train()
    return model(images)
