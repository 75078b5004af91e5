"""Models with batch norms folded into their convolutions compute what they computed before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.models import folding, functional
from ferjax.models.layers.basic import Conv
from ferjax.models.layers.batch_norm import BatchNorm

CASES = {
    "resnet10, cbam, 7x7 stem": (
        "resnet10",
        {"attention": "cbam", "stem": "imagenet", "width": 8},
        32,
    ),
    "resnet10, se": ("resnet10", {"attention": "se", "stem": "half", "width": 16}, 32),
    "vgg11": ("vgg11", {"batch_norm": True, "width": 8}, 32),
    "se_cnn": ("se_cnn", {"width": 8}, 24),
    "late fusion": ("late_fusion", {"trunks": ("resnet10", "vgg11"), "width": 8}, 64),
}


def trained(name, options, size, dtype="float32"):
    """A model with biases, whose batch norms have scales of both signs and statistics."""
    model = models.create(
        name, num_classes=7, image_size=size, dtype=dtype, rngs=nnx.Rngs(0), **options
    )
    rng = np.random.default_rng(0)
    for _, module in nnx.iter_modules(model):
        if isinstance(module, Conv) and module.bias is not None:
            bias = 0.3 * rng.standard_normal(module.bias.shape)
            module.bias[...] = jnp.asarray(bias, jnp.float32)
        if isinstance(module, BatchNorm):
            shape = module.scale.shape
            module.scale[...] = jnp.asarray(rng.choice([-1.2, 0.7, 1.3], shape), jnp.float32)
            module.bias[...] = jnp.asarray(0.3 * rng.standard_normal(shape), jnp.float32)
            module.mean[...] = jnp.asarray(0.3 * rng.standard_normal(shape), jnp.float32)
            module.var[...] = jnp.asarray(rng.uniform(0.5, 2.0, shape), jnp.float32)
    return model


def run(model, images):
    graphdef, state = nnx.split(model)
    return jax.jit(lambda state, images: nnx.merge(graphdef, state)(images))(state, images)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_equal(case):
    name, options, size = CASES[case]
    model = trained(name, options, size)
    model.eval()
    images = jnp.asarray(np.random.default_rng(1).standard_normal((3, size, size, 1)), jnp.float32)
    expected = run(model, images)
    folding.fold(model)
    norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, BatchNorm)]
    assert norms and all(norm.is_folded for norm in norms)
    found = run(model, images)
    for one, other in zip(expected, found, strict=True):
        scale = float(np.abs(one).max())
        assert scale > 0
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * scale)


def test_forward_folds_a_model_that_is_folded_or_not():
    name, options, size = CASES["se_cnn"]
    model = trained(name, options, size)
    model.eval()
    images = jnp.asarray(np.random.default_rng(1).standard_normal((3, size, size, 1)), jnp.float32)
    expected = run(model, images)
    pair = functional.split_model(model)
    for graphdef, weights in (pair, functional.fold(*pair)):
        for one, other in zip(expected, functional.forward(graphdef, weights, images), strict=True):
            np.testing.assert_allclose(other, one, rtol=0, atol=1e-5 * float(np.abs(one).max()))


def test_weights_stay_as_they_were():
    name, options, size = CASES["se_cnn"]
    graphdef, weights = functional.split_model(trained(name, options, size))
    kept = jax.tree.map(np.array, weights)
    functional.fold(graphdef, weights)
    jax.tree.map(np.testing.assert_array_equal, weights, kept)


def test_a_bfloat16_model_differs_by_its_rounding():
    name, options, size = CASES["se_cnn"]
    model = trained(name, options, size, "bfloat16")
    model.eval()
    images = jnp.asarray(np.random.default_rng(1).standard_normal((8, size, size, 1)), jnp.float32)
    expected = run(model, images)[0]
    folding.fold(model)
    found = run(model, images)[0]
    assert float(np.abs(found - expected).max()) < 0.05 * float(np.abs(expected).max())
