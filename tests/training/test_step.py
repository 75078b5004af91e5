"""The step's invariants: devices, groups, micro-batches, centres, averages, batch mates."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import losses
from ferjax.evaluation import programs
from ferjax.metrics import ConfusionState
from ferjax.models import functional
from ferjax.models.layers.initialization import initialize
from ferjax.models.resnet import ResNet
from ferjax.training import optimizer, step
from ferjax.training.objective import Objective

SIZE, BATCH, WIDTH = 24, 32, 16


def arrays(batch=BATCH):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch, SIZE, SIZE, 1)).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(rng.integers(0, 7, batch), jnp.int32)


def parts(attention="cbam", groups=None, remat=False, **fields):
    # Two blocks, of which one halves the map: what holds for them holds for eight.
    model = ResNet(
        (1, 1, 0, 0),
        num_classes=7,
        channels=1,
        stem="half",
        attention=attention,
        width=WIDTH,
        se_bias=True,
        groups=groups or 1,
        remat=remat,
        dtype=jnp.dtype("float32"),
    )
    initialize(model, jax.random.key(0))
    graphdef, weights = functional.split_model(model)
    # The spatial gate starts at scale 0, which would hide its gradient.
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf + 0.3 if path[-1].key == "scale" else leaf, weights.params
    )
    weights = dataclasses.replace(weights, params=params)
    objective = Objective(name="island")
    recipe = step.Recipe(
        graphdef=graphdef,
        optimizer=optimizer.optimizer("sgd", learning_rate=0.1, weight_decay=1e-3),
        objective=objective,
        **fields,
    )
    return recipe, step.init_state(recipe, weights, num_classes=7, num_features=2 * WIDTH, seed=0)


def run(recipe, state, steps=1, batch=None):
    update = jax.jit(functools.partial(step.train_step, recipe))
    for _ in range(steps):
        state, metrics = update(state, *(batch or arrays()))
    return state, metrics


def leaves(tree):
    return {
        jax.tree_util.keystr(path): np.asarray(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def assert_close(one, other, tolerance):
    one, other = leaves(one), leaves(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], atol=tolerance, rtol=tolerance, err_msg=name)


DEVICES = """
import json, sys, jax, numpy as np
from tests.training import test_step
from ferjax.distributed import sharding
out = {}
for name, groups in (("global", None), ("per_device", 8)):
    recipe, state = test_step.parts(groups=groups)
    mesh = sharding.make_mesh()
    state = sharding.replicate(state, mesh)
    batch = sharding.shard_batch(test_step.arrays(), mesh)
    state, metrics = test_step.run(recipe, state, batch=batch)
    out[name] = {k: v.ravel().tolist() for k, v in test_step.leaves((state, metrics)).items()}
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def eight_devices(run_python):
    return json.loads(run_python(DEVICES, devices=8).stdout.splitlines()[-1])


@pytest.mark.parametrize(("name", "groups"), [("global", None), ("per_device", 8)])
def test_eight_devices_equal_one(eight_devices, name, groups):
    """Loss, gradients (through the update), centres and statistics, for both kinds of statistics.

    "per_device" on eight devices equals one device that normalises eight groups of B/8.
    """
    recipe, state = parts(groups=groups)
    one = leaves(run(recipe, state))
    for path, value in one.items():
        # An update is learning rate 0.1 times a gradient.
        np.testing.assert_allclose(
            np.asarray(eight_devices[name][path]), value.ravel(), atol=1e-5, rtol=1e-5, err_msg=path
        )


def test_computing_activations_twice_changes_nothing():
    kept, again = (run(*parts(remat=remat))[0] for remat in (False, True))
    assert_close(kept.weights, again.weights, 1e-6)


def test_groups_change_the_statistics():
    loss = [float(run(*parts(attention=None, groups=groups))[1]["loss"]) for groups in (None, 8)]
    assert abs(loss[0] - loss[1]) > 1e-3


def test_micro_batches_without_batch_norm_coupling_equal_the_whole_batch():
    """Copies of one micro-batch have its statistics, so accumulation must change nothing."""
    images, labels = arrays(4)
    batch = (jnp.repeat(images, 4, axis=0), jnp.repeat(labels, 4, axis=0))
    whole, metrics = run(*parts(attention=None), batch=batch)
    accumulated, others = run(*parts(attention=None, accumulation_steps=4), batch=batch)
    assert_close(whole.weights.params, accumulated.weights.params, 1e-5)
    assert_close(whole.centers, accumulated.centers, 1e-5)
    assert_close(metrics, others, 1e-4)


@pytest.mark.parametrize("reduction", losses.REDUCTIONS)
def test_parts_of_a_batch_average_to_the_loss_of_the_whole(reduction):
    rng = np.random.default_rng(0)
    logits, features = jnp.asarray(rng.normal(size=(8, 7))), jnp.asarray(rng.normal(size=(8, 5)))
    labels, centers = jnp.arange(8) % 7, jnp.asarray(rng.normal(size=(7, 5)))
    objective = Objective(name="island", reduction=reduction)
    whole = objective.loss(logits, features, labels, centers)
    pieces = [
        objective.loss(logits[i::2], features[i::2], labels[i::2], centers, parts=2) for i in (0, 1)
    ]
    assert_close(whole, jax.tree.map(lambda a, b: (a + b) / 2, *pieces), 1e-5)


def test_a_tenth_of_the_learning_rate_moves_a_tenth_as_far():
    recipe, state = parts(attention=None)
    tenth = dataclasses.replace(state, scale=jnp.float32(0.1))
    far, near = (run(recipe, start)[0] for start in (state, tenth))
    for name, start in leaves(state.weights.params).items():
        ways = [leaves(after.weights.params)[name] - start for after in (far, near)]
        np.testing.assert_allclose(ways[1], 0.1 * ways[0], rtol=1e-3, atol=1e-6, err_msg=name)
    assert float(near.scale) == np.float32(0.1)


def test_average_of_the_weights_follows_its_recurrence():
    """Of parameters and batch statistics alike; first with a small decay, then with its own."""
    recipe, state = parts(attention=None, ema_decay=0.15)
    # (1 + t) / (10 + t) is 1/10 and 2/11 for the first two updates; the second is above 0.15.
    for decay in (0.1, 0.15):
        before = leaves(state.evaluated)
        state, _ = run(recipe, state)
        for name, value in leaves(state.average).items():
            expected = decay * before[name] + (1.0 - decay) * leaves(state.weights)[name]
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=name)
    assert state.evaluated is state.average


def test_average_forgets_its_start():
    """Of weights that stay, its share after t updates is the product of the decays: 1/C(t+9, 9)."""
    recipe, state = parts(attention=None, ema_decay=0.999)
    elsewhere = jax.tree.map(lambda leaf: leaf + 1.0, state.weights)
    state = dataclasses.replace(state, average=elsewhere, scale=jnp.float32(0.0))
    state, _ = run(recipe, state, steps=3)
    held = leaves(state.weights.params)
    for name, value in leaves(state.average.params).items():
        np.testing.assert_allclose(value - held[name], 1 / 220, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("largest", "updates", "decay"),
    [(0.999, 0, 1 / 10), (0.999, 1, 2 / 11), (0.999, 90, 91 / 100), (0.9, 90, 0.9)],
)
def test_the_decay_of_the_average_grows_to_its_own(largest, updates, decay):
    found = step.average_decay(largest, jnp.int32(updates))
    assert float(found) == pytest.approx(decay, rel=1e-6)


def test_softmax_has_no_centers_and_its_own_weights_are_evaluated():
    recipe, state = parts(attention=None)
    recipe = dataclasses.replace(recipe, objective=Objective())
    state = dataclasses.replace(state, centers=None)
    after, metrics = run(recipe, state)
    assert after.centers is None and "center_loss" not in metrics
    assert after.evaluated is after.weights


@pytest.mark.parametrize("attention", [None, "se", "cbam"])
def test_a_prediction_does_not_depend_on_its_batch_mates(attention):
    recipe, state = parts(attention=attention)
    images, _ = arrays()
    forward = jax.jit(functools.partial(functional.forward, recipe.graphdef))
    whole, _ = forward(state.weights, images)
    other = images.at[1:].set(images[1:] * 7.0 + 3.0)
    mixed, _ = forward(state.weights, other)
    np.testing.assert_allclose(whole[0], mixed[0], atol=1e-5)
    alone, _ = forward(state.weights, images[:1])
    np.testing.assert_allclose(whole[0], alone[0], atol=1e-5)


def test_a_loss_that_is_not_finite_is_reported():
    recipe, state = parts(attention=None)
    images, labels = arrays()
    _, metrics = run(recipe, state, batch=(images.at[0, 0, 0, 0].set(jnp.nan), labels))
    assert int(metrics["finite"]) == 0
    assert int(run(recipe, state)[1]["finite"]) == 1


def test_counts_of_views_and_groups_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    views = {name: jnp.asarray(rng.dirichlet(np.ones(7), 24), jnp.float32) for name in "ab"}
    labels = jnp.asarray(rng.integers(0, 7, 24), jnp.int32)
    groups = {
        "all": jnp.ones(24, bool),
        "few": jnp.arange(24) % 5 == 0,
        "none": jnp.zeros(24, bool),
    }
    found = programs.count(views, labels, groups)
    for view, scores in views.items():
        losses = -jnp.log(scores[jnp.arange(24), labels])
        for group, mask in groups.items():
            alone = ConfusionState.from_batch(scores, labels, losses, mask)
            np.testing.assert_array_equal(found[view][group].confusion, alone.confusion)
            np.testing.assert_allclose(found[view][group].loss_sum, alone.loss_sum, rtol=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_state_that_is_split_for_a_checkpoint_comes_back_whole(decay):
    _, state = parts(attention=None, ema_decay=decay)
    if decay:  # so that it does not equal the weights
        state = dataclasses.replace(state, average=jax.tree.map(lambda a: a + 1, state.average))
    weights, rest = state.split()
    assert weights is state.evaluated
    assert len(leaves(rest)) + len(leaves(weights)) == len(leaves(state))
    whole = leaves(rest.joined(weights))
    assert whole.keys() == leaves(state).keys()
    for name, leaf in leaves(state).items():
        np.testing.assert_array_equal(whole[name], leaf, err_msg=name)
