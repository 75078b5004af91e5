"""The fused forms of what stands behind a batch norm equal their plain forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models.ops import affine
from ferjax.models.ops.affine import Affine
from ferjax.models.ops.gradients import LANES, gradient_in_memory


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def plain(maps):
    return maps.slope[:, None, None, :] * maps.x + maps.offset[:, None, None, :]


MAPS = Affine(draw(0, 3, 4, 5, 6), draw(1, 3, 6), draw(2, 3, 6))  # slopes of both signs


def assert_same(ours, theirs, *arguments):
    """Equal results, and gradients by every argument."""
    results, vjp = jax.vjp(ours, *arguments)
    expected, expected_vjp = jax.vjp(theirs, *arguments)
    upstream = jax.tree.map(lambda array: draw(9, *array.shape), expected)
    for pair in ((results, expected), (vjp(upstream), expected_vjp(upstream))):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *pair)


def test_pooled_values():
    assert_same(
        affine.pool,
        lambda maps: (plain(maps).mean(axis=(1, 2)), plain(maps).max(axis=(1, 2))),
        MAPS,
    )


def test_a_gate():
    gate = jax.nn.sigmoid(draw(3, 3, 6))
    assert_same(affine.scale, lambda maps, gate: gate[:, None, None, :] * plain(maps), MAPS, gate)


@pytest.mark.parametrize(("channels", "is_rounded"), [(LANES - 1, False), (LANES, True)])
def test_a_gradient_in_memory_is_rounded(channels, is_rounded):
    x, upstream = draw(0, 2, channels), draw(1, 2, channels)
    y, vjp = jax.vjp(lambda x: gradient_in_memory(x, jnp.dtype(jnp.bfloat16)), x)
    np.testing.assert_array_equal(y, x)
    rounded = upstream.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(vjp(upstream)[0], rounded if is_rounded else upstream)
