"""Feature maps that are an affine map of another, kept in two parts for the compiler.

A batch norm computes slope x + offset in each channel. If the next layer only pools the result and
scales it, the result need not be written to memory: its pooled values follow from the pooled x, and
both scalings join into one affine map. Each function here equals its plain form, which is in its
docstring, up to rounding.

Shapes: B batch, H W map, C channels.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ferjax.models.ops.gradients import LANES, in_memory, of_a_device
from ferjax.models.ops.maxima import maximum_of_turned


class Affine(NamedTuple):
    """The map slope x + offset, which is not computed.

    Attributes:
      x: in the compute type.
      slope: float32, for each channel of each sample.
      offset: float32, for each channel of each sample.
      sign: -1 where the slope is negative, else 1, of the same channel in all samples. It is known
        before the slope, so that maxima can be taken in the pass that computes the statistics.
    """

    x: Float[Array, "B H W C"]
    slope: Float[Array, "B C"]
    offset: Float[Array, "B C"]
    sign: Float[Array, " C"]


def for_each_sample(
    slope: Float[Array, "G C"], offset: Float[Array, "G C"], batch: int
) -> tuple[Float[Array, "B C"], Float[Array, "B C"]]:
    """Repeats the rows of G equal contiguous groups of a batch for each of its samples."""
    return _for_each_sample(slope, offset, batch)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _for_each_sample(slope: Array, offset: Array, batch: int) -> tuple[Array, Array]:
    samples = batch // slope.shape[0]
    return jnp.repeat(slope, samples, axis=0), jnp.repeat(offset, samples, axis=0)


def _for_each_sample_forward(
    slope: Array, offset: Array, batch: int
) -> tuple[tuple[Array, Array], int]:
    return _for_each_sample(slope, offset, batch), slope.shape[0]


def _for_each_sample_backward(
    batch: int, groups: int, gradients: tuple[Array, Array]
) -> tuple[Array, Array]:
    sums = [jnp.sum(each.reshape(groups, batch // groups, -1), axis=1) for each in gradients]
    # The gradient of the bias, a sum over these, would otherwise be summed from the start again.
    slope, offset = lax.optimization_barrier(sums)
    return slope, offset


_for_each_sample.defvjp(_for_each_sample_forward, _for_each_sample_backward)


def pool(maps: Affine) -> tuple[Float[Array, "B C"], Float[Array, "B C"]]:
    """Mean and maximum over the positions of each channel of each sample, float32.

    Plain form: `mean(slope x + offset)` and `max(slope x + offset)`. The mean is the affine map of
    x's mean. So is the maximum where the slope is positive; where it is negative, the minimum of x
    gives the maximum. There x is multiplied by -1 before the maximum and the slope after it: one
    maximum serves both signs.
    """
    batch, _, _, channels = maps.x.shape
    rows = maps.x.reshape(batch, -1, channels)
    sign = lax.stop_gradient(maps.sign)
    # Not times the product of the two terms, which would be a pass of its own before it.
    largest = maximum_of_turned(rows, sign) * sign[None, :] * maps.slope + maps.offset
    average = jnp.mean(rows, axis=1, dtype=jnp.float32) * maps.slope + maps.offset
    return average, largest


def scale(maps: Affine, gate: Float[Array, "B C"]) -> Float[Array, "B H W C"]:
    """The map times a gate for each channel of each sample, float32.

    Plain form: `gate * (slope x + offset)`. One affine map of x computes both, so that slope x +
    offset is never written, and the gradients of gate, slope and offset come from the same two sums
    over each channel of each sample. The gradient of the result is rounded to the type of x.
    """
    return _scale(maps.x, maps.slope * gate, maps.offset * gate)


@jax.custom_vjp
def _scale(x: Array, slope: Array, offset: Array) -> Array:
    return x.astype(jnp.float32) * slope[:, None, None, :] + offset[:, None, None, :]


def _scale_forward(x: Array, slope: Array, offset: Array) -> tuple[Array, tuple[Array, Array]]:
    return _scale(x, slope, offset), (x, slope)


def _scale_backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array, Array]:
    return lax.platform_dependent(
        *residuals, gradient, tpu=_scale_gradients_on_tpu, default=_scale_gradients
    )


def _scale_gradients(x: Array, slope: Array, gradient: Array) -> tuple[Array, Array, Array]:
    kept = in_memory(gradient, x.dtype).astype(jnp.float32)
    return _by_map(x, slope, kept), *_by_terms(x, kept)


def _scale_gradients_on_tpu(x: Array, slope: Array, gradient: Array) -> tuple[Array, Array, Array]:
    """As `_scale_gradients`. The sums read the gradient before it is kept: one pass makes all.

    Where the images of a device fill the rows of the vector unit, and the channels do not, the
    gradient is cheap and not kept.
    """
    terms = _by_terms(x, gradient)
    if gradient.shape[-1] >= LANES or of_a_device(gradient.shape[0]) < LANES:
        gradient = in_memory(gradient, x.dtype).astype(jnp.float32)
    return _by_map(x, slope, gradient), *terms


def _by_map(x: Array, slope: Array, gradient: Array) -> Array:
    return (gradient * slope[:, None, None, :]).astype(x.dtype)


def _by_terms(x: Array, gradient: Array) -> tuple[Array, Array]:
    return jnp.sum(gradient * x.astype(jnp.float32), axis=(1, 2)), jnp.sum(gradient, axis=(1, 2))


_scale.defvjp(_scale_forward, _scale_backward)
