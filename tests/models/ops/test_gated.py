"""A gated map added to a shortcut, behind a ReLU, equals its plain form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models.ops import gated
from ferjax.models.ops.gated import Gated


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def plain(maps, gate, shortcut):
    return jax.nn.relu(maps * gate + shortcut.astype(jnp.float32)).astype(shortcut.dtype)


def ours(maps, gate, shortcut):
    return gated.add_relu(Gated(maps, gate), shortcut)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-6), (jnp.bfloat16, 1e-2)])
def test_it_equals_the_plain_form(dtype, tolerance):
    arguments = draw(0, 2, 4, 5, 6), draw(1, 2, 4, 5, 1), draw(2, 2, 4, 5, 6).astype(dtype)
    y, vjp = jax.vjp(ours, *arguments)
    expected, expected_vjp = jax.vjp(plain, *arguments)
    np.testing.assert_array_equal(y, expected)
    assert y.dtype == dtype and 0 < (y > 0).mean() < 1
    upstream = draw(3, *y.shape).astype(dtype)
    for found, right in zip(vjp(upstream), expected_vjp(upstream), strict=True):
        assert found.dtype == right.dtype
        found, right = (array.astype(jnp.float32) for array in (found, right))
        np.testing.assert_allclose(found, right, rtol=tolerance, atol=tolerance)
