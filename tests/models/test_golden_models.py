"""ResNets with every BN scale, bias and statistic random agree with a PyTorch statement of them.

The golden values are computed in float64 (see tests/golden/make_golden.py), so the distance to them
is ferjax's float32 rounding, measured against the size of the array in question.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax import losses, models
from ferjax.models import functional
from tests.golden import cases, weights

CASES = [pytest.param(case, id=case.key) for case in cases.FORWARD]
BACKWARD = [pytest.param(case, id=case.key) for case in cases.FORWARD if case.backward]


@pytest.fixture(autouse=True)
def float32_products():
    """A GPU would otherwise round the inputs of float32 products to TF32's ten bits."""
    with jax.default_matmul_precision("float32"):
        yield


def build(case):
    """The ferjax model of a case with the golden weights, the inputs and the golden values."""
    golden, network = cases.load(case.key), case.network
    state_dict = network.state_dict()
    images, labels = case.inputs()
    assert weights.checksum(state_dict) == golden["weights_crc"], "NumPy draws other weights"
    inputs_crc = weights.checksum({"images": images, "labels": labels})
    assert inputs_crc == golden["inputs_crc"], "NumPy draws other inputs"
    model = models.create(
        network.name,
        num_classes=7,
        channels=network.channels,
        image_size=case.image_size,
        stem=network.stem,
        attention=network.attention,
        width=network.width,
        rngs=nnx.Rngs(0),
    )
    models.weights.load_torchvision(model, state_dict)
    return *functional.split_model(model), jnp.asarray(images), jnp.asarray(labels), golden


def assert_close(actual, expected, tolerance=1e-5):
    """Every entry to `tolerance` of the array's largest entry."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES)
def test_evaluation_mode(case):
    graphdef, state, images, _, golden = build(case)
    logits, features = jax.jit(functional.forward, static_argnums=0)(graphdef, state, images)
    assert_close(logits, golden["eval_logits"])
    assert_close(features, golden["eval_features"])


@pytest.mark.parametrize("case", BACKWARD)
def test_training_mode_and_gradients(case):
    graphdef, state, images, labels, golden = build(case)

    @jax.jit
    def differentiate(state):
        def loss_of(params):
            model = functional.merge_model(graphdef, functional.Weights(params, state.statistics))
            model.train()
            logits, features = model(images)
            statistics = functional.split_model(model)[1].statistics
            return losses.cross_entropy(logits, labels), (logits, features, statistics)

        return jax.grad(loss_of, has_aux=True)(state.params)

    gradients, (logits, features, statistics) = differentiate(state)
    assert_close(logits, golden["train_logits"])
    assert_close(features, golden["train_features"])
    assert_probes(statistics, golden, "statistics", 1e-5)
    # PyTorch's own float32 gradients are up to 3e-4 away: a gradient has passed through every batch
    # norm of the network, and a batch of four makes those sensitive.
    assert_probes(gradients, golden, "gradients", 1e-3)


def assert_probes(tree, golden, kind, tolerance):
    """Each tensor's product with its probe and its norm, to `tolerance` of the norm."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    tensors = {}
    for path, leaf in leaves:
        name = models.weights.torchvision_name(tuple(entry.key for entry in path))
        array = np.asarray(leaf, np.float64)
        tensors[name] = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    names = [str(name) for name in golden[f"{kind}_names"]]
    assert sorted(tensors) == names
    for name, dot, norm in zip(names, golden[f"{kind}_dots"], golden[f"{kind}_norms"], strict=True):
        array = tensors[name]
        error = abs(np.vdot(array, weights.probe(name, array.shape)) - dot)
        assert error < tolerance * norm, f"{name}: probe off by {error / norm:.1e} of its norm"
        assert abs(np.linalg.norm(array) / norm - 1) < tolerance, name
