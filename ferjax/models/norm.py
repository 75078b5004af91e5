"""Batch normalisation with float32 statistics, PyTorch's running averages and a lean gradient.

Shapes: B batch, C channels, G groups of the batch; "..." any axes between batch and channels.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(
    x: Array, scale: Array, bias: Array, epsilon: float, groups: int
) -> tuple[Array, Array, Array]:
    return _forward(x, scale, bias, epsilon, groups)[0]


def _forward(
    x: Array, scale: Array, bias: Array, epsilon: float, groups: int
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    rows = _grouped(x, groups)
    count = rows.shape[1]
    mean = _sum_rows(rows) / count
    var = _sum_rows(jnp.square(rows - mean[:, None, :])) / count
    inverse = lax.rsqrt(var + epsilon)
    slope = scale[None, :] * inverse
    y = rows * slope[:, None, :] + (bias[None, :] - mean * slope)[:, None, :]
    return (y.reshape(x.shape).astype(x.dtype), mean, var), (x, scale, mean, inverse)


def _backward(
    epsilon: float,
    groups: int,
    residuals: tuple[Array, ...],
    gradients: tuple[Array, Array, Array],
) -> tuple[Array, Array, Array]:
    """The gradient of y, mean and var is one affine map of (dy, x) per channel.

    With n rows, centred x' = x - mean and r = 1 / sqrt(var + epsilon):
    dx = scale r (dy - sum(dy) / n - x' r^2 sum(dy x') / n) + dmean / n + 2 x' dvar / n.
    Both sums read dy and x once; sum(dy x') is sum(dy x) - mean sum(dy), which spares CPUs a copy
    of x' and costs no more precision than eps |mean| / sd.
    """
    x, scale, mean, inverse = residuals
    y_gradient, mean_gradient, var_gradient = gradients
    rows, upstream = _grouped(x, groups), _grouped(y_gradient, groups)
    count = rows.shape[1]
    total = _sum_rows(upstream)
    product = _sum_rows(upstream * rows) - mean * total
    slope = scale[None, :] * inverse
    x_slope = (2 * var_gradient - slope * inverse**2 * product) / count
    constant = (mean_gradient - slope * total) / count - x_slope * mean
    x_gradient = upstream * slope[:, None, :] + rows * x_slope[:, None, :] + constant[:, None, :]
    return (
        x_gradient.reshape(x.shape).astype(x.dtype),
        jnp.sum(product * inverse, axis=0),
        jnp.sum(total, axis=0),
    )


_batch_norm.defvjp(_forward, _backward)


def _grouped(x: Array, groups: int) -> Array:
    """Returns x in float32 (or wider) as [G, rows of a group, C]."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    return x.astype(dtype).reshape(groups, -1, x.shape[-1])


def _sum_rows(rows: Array) -> Array:
    return jnp.sum(rows, axis=1)


def batch_norm(
    x: Float[Array, "B ... C"],
    scale: Float[Array, " C"],
    bias: Float[Array, " C"],
    *,
    epsilon: float = 1e-5,
    groups: int = 1,
) -> tuple[Float[Array, "B ... C"], Float[Array, "G C"], Float[Array, "G C"]]:
    """Normalises x with the statistics of each of `groups` equal contiguous parts of the batch.

    Ioffe and Szegedy 2015, algorithm 1. Returns y in the type of x, and the float32 mean and biased
    variance of each group. With the batch sharded over as many devices as there are groups, the
    statistics need no communication. Reverse mode only.
    """
    if x.shape[0] % groups:
        raise ValueError(f"a batch of {x.shape[0]} does not divide into {groups} groups")
    return _batch_norm(x, scale, bias, epsilon, groups)


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last.

    While `use_running_average` is False (set by `model.train()`; `model.eval()` sets it True) the
    batch's statistics normalise and the running ones move by PyTorch's rule:
    running = momentum * running + (1 - momentum) * batch, with the unbiased variance.

    Args:
      num_features: channels C.
      momentum: weight of the old running statistics; 0.9 is PyTorch's `momentum=0.1`.
      epsilon: added to the variance.
      groups: parts of the batch with statistics of their own; the running ones take their mean.
      initial_scale: first value of every scale.
    """

    def __init__(
        self,
        num_features: int,
        *,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        groups: int = 1,
        initial_scale: float = 1.0,
    ):
        shape = (num_features,)
        self.scale = nnx.Param(jnp.full(shape, initial_scale, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(shape, jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros(shape, jnp.float32))
        self.var = nnx.BatchStat(jnp.ones(shape, jnp.float32))
        self.momentum = momentum
        self.epsilon = epsilon
        self.groups = groups
        self.use_running_average = False

    def __call__(self, x: Float[Array, "B ... C"]) -> Float[Array, "B ... C"]:
        """Returns x normalised, in its own type; in training mode also moves the statistics."""
        if self.use_running_average:
            slope = self.scale[...] * lax.rsqrt(self.var[...] + self.epsilon)
            offset = self.bias[...] - self.mean[...] * slope
            leading = (1,) * (x.ndim - 1)
            y = x.astype(jnp.float32) * slope.reshape(*leading, -1) + offset.reshape(*leading, -1)
            return y.astype(x.dtype)
        y, mean, var = batch_norm(
            x, self.scale[...], self.bias[...], epsilon=self.epsilon, groups=self.groups
        )
        count = x.size // (x.shape[-1] * self.groups)
        unbiased = var * (count / max(count - 1, 1))
        self.mean[...] = self._moved(self.mean[...], mean)
        self.var[...] = self._moved(self.var[...], unbiased)
        return y

    def _moved(self, running: Float[Array, " C"], batch: Float[Array, "G C"]) -> Float[Array, " C"]:
        batch = lax.stop_gradient(jnp.mean(batch, axis=0))
        return self.momentum * running + (1 - self.momentum) * batch
