"""Batch normalisation as functions of arrays: float32 statistics from one pass, own gradients.

Shapes: B batch, C channels, G groups of the batch; "..." any axes between batch and channels.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ferjax.models.ops import convolution


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _batch_norm(
    x: Array, scale: Array, bias: Array, shift: Array, epsilon: float, groups: int
) -> tuple[Array, Array, Array]:
    return _forward(x, scale, bias, shift, epsilon, groups)[0]


def _forward(
    x: Array, scale: Array, bias: Array, shift: Array, epsilon: float, groups: int
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    rows = _grouped(x, groups)
    mean, var = _statistics(rows, shift)
    inverse = lax.rsqrt(var + epsilon)
    slope = scale[None, :] * inverse
    y = _affine(rows, slope, bias[None, :] - mean * slope)
    residuals = (x, scale, *_kept(mean, inverse))
    return (y.reshape(x.shape).astype(x.dtype), mean, var), residuals


def _backward(
    epsilon: float,
    groups: int,
    residuals: tuple[Array, ...],
    gradients: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array, None]:
    x, scale, mean, inverse = residuals
    rows, upstream = _grouped(x, groups), _grouped(gradients[0], groups)
    total, product = _sums(upstream, rows, mean)
    terms = _gradient_terms(scale, mean, inverse, total, product, rows.shape[1], *gradients[1:])
    x_gradient = _affine(rows, *terms[1:]) + upstream * terms[0][:, None, :]
    return (
        x_gradient.reshape(x.shape).astype(x.dtype),
        jnp.sum(product * inverse, axis=0),
        jnp.sum(total, axis=0),
        None,
    )


_batch_norm.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _batch_norm_max_pool(
    x: Array,
    scale: Array,
    bias: Array,
    shift: Array,
    epsilon: float,
    groups: int,
    window: tuple[int, int, int],
) -> tuple[Array, Array, Array]:
    return _pool_forward(x, scale, bias, shift, epsilon, groups, window)[0]


def _pool_forward(
    x: Array,
    scale: Array,
    bias: Array,
    shift: Array,
    epsilon: float,
    groups: int,
    window: tuple[int, int, int],
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    # Where the scale is negative, the maxima of -x are at the maxima of the normalised map.
    sign = _signs(scale)
    x = x * sign.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
    mean, var = _statistics(_grouped(x, groups), shift * sign)
    inverse = lax.rsqrt(var + epsilon)
    slope = (scale * sign)[None, :] * inverse
    maxima = convolution.max_pool(x, window=window[0], stride=window[1], padding=window[2])
    y = _affine(_grouped(maxima, groups), slope, bias[None, :] - mean * slope)
    y = y.reshape(maxima.shape).astype(x.dtype)
    residuals = (x, maxima, scale, *_kept(mean, inverse))
    return (y, mean * sign[None, :], var), residuals


def _pool_backward(
    epsilon: float,
    groups: int,
    window: tuple[int, int, int],
    residuals: tuple[Array, ...],
    gradients: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array, None]:
    """As `_backward`; its sums read the maxima only, the positions with a gradient."""
    x, maxima, scale, mean, inverse = residuals
    y_gradient, mean_gradient, var_gradient = gradients
    sign = _signs(scale)
    rows = _grouped(x, groups)
    total, product = _sums(_grouped(y_gradient, groups), _grouped(maxima, groups), mean)
    terms = _gradient_terms(
        scale * sign,
        mean,
        inverse,
        total,
        product,
        rows.shape[1],
        mean_gradient * sign[None, :],
        var_gradient,
    )
    size, stride, padding = window
    scattered = convolution.max_pool_gradient(
        x, y_gradient, window=size, stride=stride, padding=padding
    )
    turned = [term * sign[None, :] for term in terms]
    x_gradient = _affine(rows, *turned[1:]) + _grouped(scattered, groups) * turned[0][:, None, :]
    return (
        x_gradient.reshape(x.shape).astype(x.dtype),
        jnp.sum(product * inverse, axis=0) * sign,
        jnp.sum(total, axis=0),
        None,
    )


_batch_norm_max_pool.defvjp(_pool_forward, _pool_backward)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _moments(x: Array, shift: Array, groups: int) -> tuple[Array, Array]:
    return _statistics(_grouped(x, groups), shift)


def _moments_forward(
    x: Array, shift: Array, groups: int
) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
    mean, var = _moments(x, shift, groups)
    return (mean, var), (x, *_kept(mean))


def _moments_backward(
    groups: int, residuals: tuple[Array, ...], gradients: tuple[Array, Array]
) -> tuple[Array, None]:
    x, mean = residuals
    rows = _grouped(x, groups)
    mean_gradient, var_gradient = (gradient / rows.shape[1] for gradient in gradients)
    x_gradient = _affine(rows, 2 * var_gradient, mean_gradient - 2 * var_gradient * mean)
    return x_gradient.reshape(x.shape).astype(x.dtype), None


_moments.defvjp(_moments_forward, _moments_backward)


def _statistics(rows: Array, shift: Array) -> tuple[Array, Array]:
    """Mean and biased variance [G, C] of rows [G, n, C], from sums that one pass makes.

    Their relative error is the rounding error of float32 times 1 + (mean - shift)^2 / variance.
    """
    moved = rows - shift[None, None, :]
    first = jnp.sum(moved, axis=1) / rows.shape[1]
    second = jnp.sum(jnp.square(moved), axis=1) / rows.shape[1]
    return shift[None, :] + first, jnp.maximum(second - jnp.square(first), 0)


def _kept(*statistics: Array) -> tuple[Array, ...]:
    """The statistics, which the backward pass finds in memory.

    XLA for GPUs may otherwise compute them again from the running means, and then copies these
    before the step replaces them. TPUs compute them in the pass that needs them.
    """
    return tuple(
        lax.platform_dependent(
            *statistics,
            tpu=lambda *kept: kept,
            default=lambda *kept: lax.optimization_barrier(kept),
        )
    )


def _sums(upstream: Array, rows: Array, mean: Array) -> tuple[Array, Array]:
    """sum(dy) and sum(dy x'), [G, C]; dy and x are read once.

    sum(dy x') is computed as sum(dy x) - mean sum(dy): CPUs need no copy of x', and the additional
    relative error is at most eps |mean| / sd.
    """
    total = jnp.sum(upstream, axis=1)
    return total, jnp.sum(upstream * rows, axis=1) - mean * total


def _gradient_terms(
    scale: Array,
    mean: Array,
    inverse: Array,
    total: Array,
    product: Array,
    count: int,
    mean_gradient: Array,
    var_gradient: Array,
) -> tuple[Array, Array, Array]:
    """The two slopes and the constant of the gradient of x, which is an affine map of (dy, x).

    With n rows, centred x' = x - mean and r = 1 / sqrt(var + epsilon):
    dx = scale r (dy - sum(dy) / n - x' r^2 sum(dy x') / n) + dmean / n + 2 x' dvar / n.
    """
    slope = scale[None, :] * inverse
    x_slope = (2 * var_gradient - slope * inverse**2 * product) / count
    constant = (mean_gradient - slope * total) / count - x_slope * mean
    return slope, x_slope, constant


def _affine(rows: Array, slope: Array, constant: Array) -> Array:
    return rows * slope[:, None, :] + constant[:, None, :]


def _signs(scale: Array) -> Array:
    return jnp.where(scale < 0, -1.0, 1.0).astype(scale.dtype)


def _grouped(x: Array, groups: int) -> Array:
    """Returns x in float32 (or wider) as [G, rows of a group, C]."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(dtype).reshape(groups, -1, x.shape[-1])


def batch_norm(
    x: Float[Array, "B ... C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    *,
    shift: Float[Array, " C"],
    epsilon: float = 1e-5,
    groups: int = 1,
) -> tuple[Float[Array, "B ... C"], Float[Array, "G C"], Float[Array, "G C"]]:
    """Normalises x with the statistics of each of `groups` equal contiguous parts of the batch.

    Ioffe and Szegedy 2015, algorithm 1. Returns y in the type of x, and the float32 mean and biased
    variance of each group. With the batch sharded over as many devices as there are groups, the
    statistics need no communication. Reverse mode only.

    Args:
      x: the map to normalise.
      scale: of each channel.
      bias: of each channel.
      shift: an estimate of the means, as the running means. It affects the rounding only: mean and
        variance come from one pass over x - shift, and the relative error of the variance is that
        of a float32 sum times 1 + (mean - shift)^2 / variance.
      epsilon: added to the variance.
      groups: number of parts of the batch.
    """
    _check_groups(x.shape[0], groups)
    return _batch_norm(x, scale, bias, shift, epsilon, groups)


def batch_norm_max_pool(
    x: Float[Array, "B H W C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    *,
    shift: Float[Array, " C"],
    epsilon: float = 1e-5,
    groups: int = 1,
    window: int = 3,
    stride: int = 2,
    padding: int = 1,
) -> tuple[Float[Array, "B h w C"], Float[Array, "G C"], Float[Array, "G C"]]:
    """Max-pools the y of `batch_norm`, which is not written; returns mean and variance as there.

    Normalisation keeps the order of the values of a channel, or reverses it if the scale is
    negative. Therefore the maxima of x (or its minima) are computed first, and only they are
    normalised. The result equals the plain form to the bit. The gradient differs only where values
    of y are equal by rounding: the first of equal x takes it.
    """
    _check_groups(x.shape[0], groups)
    return _batch_norm_max_pool(x, scale, bias, shift, epsilon, groups, (window, stride, padding))


def moments(
    x: Float[Array, "B ... C"], *, shift: Float[Array, " C"], groups: int = 1
) -> tuple[Float[Array, "G C"], Float[Array, "G C"]]:
    """Mean and biased variance of each channel in each group; arguments as in `batch_norm`."""
    _check_groups(x.shape[0], groups)
    return _moments(x, shift, groups)


def _check_groups(batch: int, groups: int) -> None:
    if batch % groups:
        raise ValueError(f"a batch of {batch} does not divide into {groups} groups")
