"""CBAM joined to the batch norm before it, and the maximum whose gradient goes by position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from ferjax.models.layers.attention import CBAM
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.ops.maxima import maximum, mean_and_maximum


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_maximum_and_its_gradient(axis: int) -> None:
    x, weights = jnp.asarray(draw(0, 4, 5, 6)), draw(1, 4, 5, 6).max(axis)
    value, vjp = jax.vjp(lambda x: maximum(x, axis=axis), x)
    expected, expected_vjp = jax.vjp(lambda x: jnp.max(x, axis=axis), x)
    np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(
        vjp(jnp.asarray(weights))[0], expected_vjp(jnp.asarray(weights))[0]
    )


@pytest.mark.parametrize("axis", [0, -1])
def test_mean_and_maximum_in_one_pass(axis: int) -> None:
    x, weights = jnp.asarray(draw(0, 4, 5, 6)), draw(1, 2, 4, 5, 6).max(axis if axis < 0 else 1)
    results, vjp = jax.vjp(lambda x: mean_and_maximum(x, axis=axis, gradient_dtype=x.dtype), x)
    expected, expected_vjp = jax.vjp(lambda x: (x.mean(axis), x.max(axis)), x)
    np.testing.assert_allclose(results, expected, rtol=1e-5, atol=1e-6)
    upstream = tuple(jnp.asarray(weights))
    (gradient,), (expected_gradient,) = vjp(upstream), expected_vjp(upstream)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5)


def test_the_first_of_equal_maxima_takes_the_gradient() -> None:
    x = jnp.asarray([[0.0, 2.0, 1.0, 2.0], [3.0, 3.0, 3.0, 3.0], [-np.inf] * 4])
    gradient = jax.grad(lambda x: jnp.sum(maximum(x, axis=1) * jnp.asarray([5.0, 7.0, 9.0])))(x)
    np.testing.assert_array_equal(gradient, [[0, 5, 0, 0], [7, 0, 0, 0], [9, 0, 0, 0]])


def test_the_maximum_of_a_nan_is_one() -> None:
    x = jnp.asarray([[1.0, np.nan, 2.0], [np.nan, 3.0, 0.0], [0.0, 3.0, np.nan]])
    assert jnp.isnan(maximum(x, axis=1)).all()


# Three hidden units of the channel gate. A single one may be 0 for every sample.
CHANNELS = 48


def layers(groups: int) -> tuple[CBAM, BatchNorm]:
    """A CBAM and a norm with scales of both signs, all parameters random."""
    cbam, norm = CBAM(CHANNELS, groups=groups), BatchNorm(CHANNELS, groups=groups)
    state = nnx.state((cbam, norm), nnx.Param)
    leaves, structure = jax.tree.flatten(state)
    drawn = [jnp.asarray(0.5 * draw(i + 9, *leaf.shape)) for i, leaf in enumerate(leaves)]
    nnx.update((cbam, norm), jax.tree.unflatten(structure, drawn))
    assert (norm.scale[...] < 0).any() and (norm.scale[...] > 0).any()
    return cbam, norm


def gated(cbam: CBAM, norm: BatchNorm, x: jax.Array) -> jax.Array:
    maps, gate = cbam(norm.affine(x))
    return maps * gate


def plain(cbam: CBAM, norm: BatchNorm, x: jax.Array) -> jax.Array:
    """The same blocks as they are printed, left to automatic differentiation."""
    x = norm(x)

    def mlp(pooled: jax.Array) -> jax.Array:
        return cbam.channel.fc2(jax.nn.relu(cbam.channel.fc1(pooled)))

    gate = jax.nn.sigmoid(mlp(jnp.mean(x, axis=(1, 2))) + mlp(jnp.max(x, axis=(1, 2))))
    x = x * gate[:, None, None, :]
    pooled = jnp.stack([jnp.max(x, axis=3), jnp.mean(x, axis=3)], axis=3)
    return x * jax.nn.sigmoid(cbam.spatial.bn(cbam.spatial.conv(pooled)))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("training", [True, False])
def test_cbam_behind_a_norm_and_its_gradients(groups: int, training: bool) -> None:
    x, weights = jnp.asarray(draw(0, 4, 6, 5, CHANNELS)), jnp.asarray(draw(1, 4, 6, 5, CHANNELS))
    results = []
    for function in (gated, plain):
        pair = layers(groups)
        for layer in pair:
            layer.train() if training else layer.eval()
        graphdef, params, rest = nnx.split(pair, nnx.Param, ...)

        def objective(params, x, function=function, graphdef=graphdef, rest=rest):
            pair = nnx.merge(graphdef, params, rest, copy=True)
            y = function(*pair, x)
            return jnp.sum(weights * y), (y, nnx.state(pair, nnx.BatchStat))

        results.append(jax.grad(objective, argnums=(0, 1), has_aux=True)(params, x))
    (gradients, outputs), (expected_gradients, expected_outputs) = results
    for dense in ("fc1", "fc2"):
        assert np.abs(expected_gradients[0][0]["channel"][dense]["kernel"][...]).max() > 0.1
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), outputs, expected_outputs
    )

    def close(actual: jax.Array, expected: jax.Array) -> None:
        largest = max(float(np.abs(expected).max()), 0.1)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * largest)

    jax.tree.map(close, gradients, expected_gradients)


def test_cbam_against_finite_differences() -> None:
    graphdef, state = nnx.split(layers(1))

    def function(x: jax.Array) -> jax.Array:
        cbam, norm = nnx.merge(graphdef, state, copy=True)
        return gated(cbam, norm, jnp.asarray(x))

    x = jnp.asarray(3 * draw(0, 2, 3, 3, CHANNELS))
    check_grads(function, (x,), order=1, modes=("rev",), atol=2e-2, rtol=2e-2)


def test_bfloat16_maps_keep_float32_gates() -> None:
    # Half a unit in the last place of bfloat16, 2^-9, is all that the map's own rounding costs.
    x = jnp.asarray(draw(0, 4, 6, 5, CHANNELS), jnp.bfloat16)
    cbam, norm = layers(1)
    y = gated(cbam, norm, x)
    assert y.dtype == jnp.float32
    cbam, norm = layers(1)
    np.testing.assert_allclose(y, plain(cbam, norm, x.astype(jnp.float32)), atol=2e-5)
