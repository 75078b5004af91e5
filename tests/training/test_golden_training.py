"""The losses of a training run follow those of an independent PyTorch statement, step by step.

From the same weights, on the same batches, without augmentation: SGD with momentum, weight decay on
kernels alone, and for the island loss centres that move by their own rule. Every BN scale and bias
and the spatial gates' batch norms start at random values, so that no initial zero hides a mistake.
"""

import dataclasses
import functools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.models import functional
from ferjax.training import optimizer, step
from ferjax.training.objective import Objective
from tests.golden import cases, weights

RELATIVE = 1e-3


@pytest.fixture(autouse=True)
def float32_products():
    """A GPU would otherwise round the inputs of float32 products to TF32's ten bits."""
    with jax.default_matmul_precision("float32"):
        yield


def train(case, images, labels):
    """Runs ferjax's own step on the batches of a case: losses [steps] and the last state."""
    network = case.network
    model = models.create(
        network.name,
        num_classes=7,
        channels=network.channels,
        stem=network.stem,
        attention=network.attention,
        width=network.width,
        rngs=nnx.Rngs(0),
    )
    models.weights.load_torchvision(model, network.state_dict())
    graphdef, initial = functional.split_model(model)
    recipe = step.Recipe(
        graphdef=graphdef,
        optimizer=optimizer.optimizer(
            "sgd",
            learning_rate=case.learning_rate,
            momentum=case.momentum,
            weight_decay=case.weight_decay,
        ),
        objective=Objective(
            name="island" if case.island else "softmax",
            weight=case.weight,
            pairwise_weight=case.pairwise_weight,
            alpha=case.alpha,
        ),
    )
    state = step.init_state(recipe, initial, num_classes=7, num_features=8 * network.width, seed=0)
    if case.island:
        state = dataclasses.replace(state, centers=jnp.asarray(case.centers()))
    update = jax.jit(functools.partial(step.train_step, recipe), donate_argnums=0)
    measured = []
    for batch in zip(images, labels, strict=True):
        state, metrics = update(state, *(jnp.asarray(array) for array in batch))
        measured.append(metrics["loss"])
    return np.array(jax.device_get(measured), np.float64), state


def check_inputs(case, golden, images, labels):
    assert weights.checksum(case.network.state_dict()) == golden["weights_crc"]
    assert weights.checksum({"images": images, "labels": labels}) == golden["inputs_crc"]


def test_losses_centers_and_moves_follow_pytorch():
    case = cases.TRAINING_ISLAND
    golden, (images, labels) = cases.load(case.key), case.random_batches()
    check_inputs(case, golden, images, labels)
    measured, state = train(case, images, labels)
    np.testing.assert_allclose(measured, golden["losses"], rtol=RELATIVE)
    distance = np.linalg.norm(np.asarray(state.centers) - golden["centers"])
    assert distance < RELATIVE * np.linalg.norm(golden["centers"])
    assert_moves(case, state.weights.params, golden)


def test_losses_of_a_whole_resnet18_follow_pytorch():
    case = cases.TRAINING_SOFTMAX
    golden, (images, labels) = cases.load(case.key), case.random_batches()
    check_inputs(case, golden, images, labels)
    measured, _ = train(case, images, labels)
    np.testing.assert_allclose(measured, golden["losses"], rtol=RELATIVE)


def assert_moves(case, params, golden):
    """Every parameter has moved as far as PyTorch's has, in the same direction, to a hundredth.

    This is a check of which parameters decay, which the losses of a few steps hardly show. Decay is
    most of a kernel's way here, and would be ten times the way of a batch norm's scale.
    """
    start = case.network.state_dict()
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    moves = {}
    for path, leaf in leaves:
        name = models.weights.torchvision_name(tuple(entry.key for entry in path))
        array = np.asarray(leaf, np.float64)
        moves[name] = (array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T) - start[name]
    assert sorted(moves) == [str(name) for name in golden["moves_names"]]
    for index, name in enumerate(sorted(moves)):
        norm = golden["moves_norms"][index]
        probe = np.vdot(moves[name], weights.probe(name, moves[name].shape))
        error = abs(probe - golden["moves_dots"][index]) / norm
        assert error < 0.01, f"{name} moved otherwise: off by {error:.1e} of its way"


def fer2013_losses(source):
    """The losses on real FER2013, whose folder zip is `source`."""
    case = cases.TRAINING_FER2013
    images, labels = case.fer2013_batches(source)
    check_inputs(case, cases.load(case.key), images, labels)
    return train(case, images, labels)[0].tolist()


def test_losses_on_fer2013_follow_pytorch(run_python):
    source = os.environ.get("FERJAX_TEST_FER2013")
    if not source:
        pytest.skip("FERJAX_TEST_FER2013 does not name FER2013's folder zip")
    # In a process of its own, with machine code that is optimised: here the steps are the cost.
    code = (
        f"from tests.training import test_golden_training as t; print(t.fer2013_losses({source!r}))"
    )
    measured = json.loads(run_python(code, optimize=True).stdout.splitlines()[-1])
    golden = cases.load(cases.TRAINING_FER2013.key)
    np.testing.assert_allclose(measured, golden["losses"], rtol=RELATIVE)
