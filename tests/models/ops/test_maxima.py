"""The forms of a maximum that TPUs run, against those that other platforms run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models.ops import maxima


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


SIGN = jnp.asarray([1.0, -1.0, -1.0, 1.0])


def test_a_maximum_by_value_equals_that_by_position():
    x, upstream = draw(0, 3, 30, 4), draw(1, 3, 4)
    expected, vjp = jax.vjp(lambda x: maxima.maximum_of_turned(x, SIGN), x)
    largest, position = maxima.largest_by_value(x, SIGN)
    np.testing.assert_array_equal(largest, expected)
    np.testing.assert_array_equal(expected, (x * SIGN[None, None, :]).max(axis=1))
    gradient = maxima.gradient_by_value(x, SIGN, largest, position, upstream)
    np.testing.assert_array_equal(gradient, vjp(upstream)[0])
    assert (gradient != 0).sum() == upstream.size


def test_equal_maxima_share_the_gradient():
    x = jnp.asarray([[[1.0], [3.0], [3.0], [0.0]]], jnp.bfloat16)
    largest, position = maxima.largest_by_value(x, jnp.ones(1))
    gradient = maxima.gradient_by_value(x, jnp.ones(1), largest, position, jnp.full((1, 1), 4.0))
    np.testing.assert_array_equal(gradient[0, :, 0].astype(jnp.float32), [0, 2, 2, 0])
    first = jax.grad(lambda x: 4 * maxima.maximum_of_turned(x, jnp.ones(1)).sum())(x)
    np.testing.assert_array_equal(first[0, :, 0].astype(jnp.float32), [0, 4, 0, 0])


@pytest.mark.parametrize("channels", [5, 512])
def test_a_packed_gradient_comes_to_its_position(channels):
    upstream = draw(0, 3, 7)
    position = jnp.asarray(np.random.default_rng(1).integers(0, channels, (3, 7)), jnp.int32)
    words = maxima.packed(position, upstream)
    assert words.dtype == jnp.int32 and words.shape == upstream.shape
    found = maxima.unpacked(1, channels, words)
    expected = jax.nn.one_hot(position, channels, axis=1)
    rounded = upstream.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(found, expected * rounded[:, None, :])
    nothing = maxima.unpacked(1, channels, maxima.packed(position, jnp.zeros_like(upstream)))
    np.testing.assert_array_equal(nothing, jnp.zeros_like(found))
