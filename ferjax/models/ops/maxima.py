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
    return jnp.max(x, axis=axis)


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


def maximum_of_turned(x: Float[Array, "B N C"], sign: Float[Array, " C"]) -> Float[Array, "B C"]:
    """Maximum over positions of sign x, float32; sign is 1 or -1.

    On TPUs equal maxima share the gradient, and elsewhere the first takes it. XLA for TPUs joins a
    maximum without its position, and only a float32 one, to the convolution that makes x.
    """
    return _of_turned(x, sign)


@jax.custom_vjp
def _of_turned(x: Array, sign: Array) -> Array:
    return jnp.max(x.astype(jnp.float32) * sign[None, None, :], axis=1)


def _of_turned_forward(x: Array, sign: Array) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    largest, position = lax.platform_dependent(
        x, sign, tpu=largest_by_value, default=_largest_by_position
    )
    return largest, (x, sign, largest, position)


def _of_turned_backward(
    residuals: tuple[Array, Array, Array, Array], gradient: Array
) -> tuple[Array, None]:
    x_gradient = lax.platform_dependent(
        *residuals, gradient, tpu=gradient_by_value, default=_gradient_by_position
    )
    return x_gradient, None


_of_turned.defvjp(_of_turned_forward, _of_turned_backward)


def _largest_by_position(x: Array, sign: Array) -> tuple[Array, Array]:
    largest, position = _maximum_forward(x * sign.astype(x.dtype)[None, None, :], 1, x.shape[1])
    return largest.astype(jnp.float32), position


def _gradient_by_position(
    x: Array, sign: Array, largest: Array, position: Array, gradient: Array
) -> Array:
    turned = (gradient * sign[None, :]).astype(x.dtype)
    return _maximum_backward(1, x.shape[1], position, turned)[0]


def largest_by_value(x: Array, sign: Array) -> tuple[Array, Array]:
    """`maximum_of_turned` of x [B, N, C] without positions: zeros stand in their place."""
    largest = jnp.max(x.astype(jnp.float32) * sign[None, None, :], axis=1)
    return _rounded(largest, x.dtype), jnp.zeros(largest.shape, jnp.int32)


def gradient_by_value(
    x: Array, sign: Array, largest: Array, position: Array, gradient: Array
) -> Array:
    """The gradient by x [B, N, C]: that of a maximum in equal parts to all that equal it."""
    del position
    turned = _rounded(x.astype(jnp.float32), x.dtype) * sign[None, None, :]
    reached = turned == largest[:, None, :]
    share = gradient * sign[None, :] / jnp.sum(reached, axis=1, dtype=jnp.float32)
    return jnp.where(reached, share[:, None, :], 0).astype(x.dtype)


def _rounded(values: Array, dtype: jnp.dtype) -> Array:
    """The values with the digits that `dtype` has, whatever more a convolution hands on.

    A compiler may leave out casts to a type and back, and then nothing would equal the maximum.
    """
    kind = jnp.finfo(dtype)
    return lax.reduce_precision(values, kind.nexp, kind.nmant)


def mean_and_maximum(
    x: Float[Array, "..."], *, axis: int, gradient_dtype: jnp.dtype
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Mean and `maximum` along one axis, from one pass, in the type of x.

    If `gradient_dtype` is bfloat16, the gradient by the maximum is rounded to it on TPUs.
    """
    return _mean_and_maximum(x, axis % x.ndim, x.shape[axis], gradient_dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _mean_and_maximum(
    x: Array, axis: int, size: int, gradient_dtype: jnp.dtype
) -> tuple[Array, Array]:
    return jnp.sum(x, axis=axis) / size, jnp.max(x, axis=axis)


def _both_forward(
    x: Array, axis: int, size: int, gradient_dtype: jnp.dtype
) -> tuple[tuple[Array, Array], Array]:
    def join(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
        return (one[0] + other[0], *_larger(one[1:], other[1:]))

    positions = lax.broadcasted_iota(jnp.int32, x.shape, axis)
    start = (jnp.array(0, x.dtype), jnp.array(-jnp.inf, x.dtype), jnp.array(size, jnp.int32))
    total, largest, position = lax.reduce((x, x, positions), start, join, (axis,))
    return (total / size, largest), position


def _both_backward(
    axis: int,
    size: int,
    gradient_dtype: jnp.dtype,
    position: Array,
    gradients: tuple[Array, Array],
) -> tuple[Array]:
    mean_gradient, maximum_gradient = gradients
    chosen = lax.platform_dependent(
        position,
        maximum_gradient,
        tpu=partial(_chosen_on_tpu, axis, size, gradient_dtype),
        default=partial(_chosen, axis, size),
    )
    return (chosen + jnp.expand_dims(mean_gradient / size, axis),)


_mean_and_maximum.defvjp(_both_forward, _both_backward)


def _chosen(axis: int, size: int, position: Array, gradient: Array) -> Array:
    return _maximum_backward(axis, size, position, gradient)[0]


def _chosen_on_tpu(
    axis: int, size: int, dtype: jnp.dtype, position: Array, gradient: Array
) -> Array:
    """As `_chosen`, from one array where the gradient may be rounded to bfloat16.

    The gradient is in the upper half of each word and the position in the lower. To bring an array
    that has no channels in front of the channels costs TPUs more than to compute with it.
    """
    if dtype != jnp.bfloat16 or gradient.dtype != jnp.float32 or size > 1 << 16:
        return _chosen(axis, size, position, gradient)
    return unpacked(axis, size, packed(position, gradient))


def packed(position: Array, gradient: Array) -> Array:
    """Words of 32 bits: the gradient as bfloat16, then the position, which is below 2^16."""
    rounded = lax.reduce_precision(gradient, exponent_bits=8, mantissa_bits=7)
    return lax.bitcast_convert_type(rounded, jnp.int32) | position


def unpacked(axis: int, size: int, words: Array) -> Array:
    """The gradient of a maximum along an axis of this size, from `packed` words."""
    words = jnp.expand_dims(words, axis)
    shape = (*words.shape[:axis], size, *words.shape[axis + 1 :])
    # At the position the lower half becomes zero, and what is left is the gradient.
    turned = words ^ lax.broadcasted_iota(jnp.int32, shape, axis)
    is_chosen = (turned & 0xFFFF) == 0
    return jnp.where(is_chosen, lax.bitcast_convert_type(turned, jnp.float32), 0)
