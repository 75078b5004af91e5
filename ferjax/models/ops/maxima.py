"""Maximum along an axis, alone or with the mean, whose gradient goes to a stored position."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def maximum(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Maximum along one axis; the first of equal maxima takes the gradient.

    The gradient goes to the stored position. `jnp.max` instead compares x with its maximum in the
    backward pass. A compiler may compute x twice, in two fused kernels that round differently, and
    then no element is equal: on CPUs the gradient was lost, or divided by zero.
    """
    return _maximum(x, axis % x.ndim, x.shape[axis])


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _maximum(x: Array, axis: int, size: int) -> Array:
    return _maximum_forward(x, axis, size)[0]


def _maximum_forward(x: Array, axis: int, size: int) -> tuple[Array, Array]:
    """The maximum and its position, from one pass."""
    positions = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    lowest = jnp.array(-jnp.inf, x.dtype), jnp.array(size, jnp.int32)
    return tuple(lax.reduce((x, positions), lowest, _larger, (axis,)))


def _maximum_backward(axis: int, size: int, position: Array, gradient: Array) -> tuple[Array]:
    position, gradient = (jnp.expand_dims(array, axis) for array in (position, gradient))
    shape = (*gradient.shape[:axis], size, *gradient.shape[axis + 1 :])
    return (jnp.where(lax.broadcasted_iota(jnp.int32, shape, axis) == position, gradient, 0),)


_maximum.defvjp(_maximum_forward, _maximum_backward)


def _larger(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    """The larger value and its position, the first of equals; a NaN is larger than any number."""
    (value, position), (other_value, other_position) = one, other
    wins = (value > other_value) | (value != value)
    wins |= (value == other_value) & (position < other_position)
    return jnp.where(wins, value, other_value), jnp.where(wins, position, other_position)


def mean_and_maximum(
    x: Float[Array, "..."], *, axis: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Mean and `maximum` along one axis, from one pass, in the type of x."""
    return _mean_and_maximum(x, axis % x.ndim, x.shape[axis])


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _mean_and_maximum(x: Array, axis: int, size: int) -> tuple[Array, Array]:
    return _both_forward(x, axis, size)[0]


def _both_forward(x: Array, axis: int, size: int) -> tuple[tuple[Array, Array], Array]:
    def join(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
        return (one[0] + other[0], *_larger(one[1:], other[1:]))

    positions = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    start = (jnp.array(0, x.dtype), jnp.array(-jnp.inf, x.dtype), jnp.array(size, jnp.int32))
    total, largest, position = lax.reduce((x, x, positions), start, join, (axis,))
    return (total / size, largest), position


def _both_backward(
    axis: int, size: int, position: Array, gradients: tuple[Array, Array]
) -> tuple[Array]:
    mean_gradient, maximum_gradient = gradients
    chosen = _maximum_backward(axis, size, position, maximum_gradient)[0]
    return (chosen + jnp.expand_dims(mean_gradient / size, axis),)


_mean_and_maximum.defvjp(_both_forward, _both_backward)
