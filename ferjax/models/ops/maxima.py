"""Maxima whose gradient goes by position, alone or beside the mean, from one pass over a map."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def maximum(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Maximum along one axis; the first of equal maxima takes the gradient.

    The gradient goes by position. That of `jnp.max` compares x with its maximum, and a compiler
    that computes x twice, rounded differently in two fused kernels, then finds no element equal:
    on CPUs the gradient was lost, or divided by zero.
    """
    return _maximum(x, axis % x.ndim, x.shape[axis])


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _maximum(x: Array, axis: int, size: int) -> Array:
    return _maximum_forward(x, axis, size)[0]


def _maximum_forward(x: Array, axis: int, size: int) -> tuple[Array, Array]:
    """The maximum and its place, from one pass."""
    places = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    lowest = jnp.array(-jnp.inf, x.dtype), jnp.array(size, jnp.int32)
    return tuple(lax.reduce((x, places), lowest, _larger, (axis,)))


def _maximum_backward(axis: int, size: int, place: Array, gradient: Array) -> tuple[Array]:
    place, gradient = (jnp.expand_dims(array, axis) for array in (place, gradient))
    shape = (*gradient.shape[:axis], size, *gradient.shape[axis + 1 :])
    return (jnp.where(lax.broadcasted_iota(jnp.int32, shape, axis) == place, gradient, 0),)


_maximum.defvjp(_maximum_forward, _maximum_backward)


def _larger(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    """The larger value with its place, the first of equals; a NaN is larger than any number."""
    (value, place), (other_value, other_place) = one, other
    wins = (value > other_value) | (value != value)
    wins |= (value == other_value) & (place < other_place)
    return jnp.where(wins, value, other_value), jnp.where(wins, place, other_place)


def mean_and_maximum(
    x: Float[Array, "..."], *, axis: int
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Mean and `maximum` along one axis, in the type of x."""
    return _mean_and_maximum(x, axis % x.ndim, x.shape[axis])


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _mean_and_maximum(x: Array, axis: int, size: int) -> tuple[Array, Array]:
    return _both_forward(x, axis, size)[0]


def _both_forward(x: Array, axis: int, size: int) -> tuple[tuple[Array, Array], Array]:
    def join(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
        return (one[0] + other[0], *_larger(one[1:], other[1:]))

    places = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    start = (jnp.array(0, x.dtype), jnp.array(-jnp.inf, x.dtype), jnp.array(size, jnp.int32))
    total, largest, place = lax.reduce((x, x, places), start, join, (axis,))
    return (total / size, largest), place


def _both_backward(
    axis: int, size: int, place: Array, gradients: tuple[Array, Array]
) -> tuple[Array]:
    mean_gradient, maximum_gradient = gradients
    chosen = _maximum_backward(axis, size, place, maximum_gradient)[0]
    return (chosen + jnp.expand_dims(mean_gradient / size, axis),)


_mean_and_maximum.defvjp(_both_forward, _both_backward)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def gradient_in_memory(x: Array, dtype: jnp.dtype) -> Array:
    """Returns x; its gradient is rounded to `dtype` and written to memory once.

    Where a gradient is expensive and several kernels read it, a compiler would otherwise compute it
    again in each of them; a convolution, once for every tap.
    """
    return x


def _kept_forward(x: Array, dtype: jnp.dtype) -> tuple[Array, None]:
    return x, None


def _kept_backward(dtype: jnp.dtype, _: None, gradient: Array) -> tuple[Array]:
    return (lax.optimization_barrier(gradient.astype(dtype)).astype(gradient.dtype),)


gradient_in_memory.defvjp(_kept_forward, _kept_backward)
