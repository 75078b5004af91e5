"""Feature maps that are an affine map of another, kept in two parts for the compiler.

A batch norm computes slope x + offset in each channel. If the next layer only pools the result and
scales it, the result need not be written to memory: its pooled values follow from the pooled x, and
both scalings join into one affine map. Each function here equals its plain form, which is in its
docstring, up to rounding.

Shapes: B batch, H W map, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.models.ops.maxima import maximum


class Affine(NamedTuple):
    """The map slope x + offset, which is not computed.

    Attributes:
      x: in the compute type.
      slope: float32, for each channel of each sample.
      offset: float32, for each channel of each sample.
    """

    x: Float[Array, "B H W C"]
    slope: Float[Array, "B C"]
    offset: Float[Array, "B C"]


def pool(maps: Affine) -> tuple[Float[Array, "B C"], Float[Array, "B C"]]:
    """Mean and maximum over the positions of each channel of each sample, float32.

    Plain form: `mean(slope x + offset)` and `max(slope x + offset)`. The mean is the affine map of
    x's mean. So is the maximum where the slope is positive; where it is negative, the minimum of x
    gives the maximum. There x is multiplied by -1 before the maximum and the slope after it: one
    maximum serves both signs.
    """
    batch, _, _, channels = maps.x.shape
    rows = maps.x.reshape(batch, -1, channels)
    sign = jnp.where(maps.slope < 0, -1.0, 1.0)
    turned = rows * sign[:, None, :].astype(maps.x.dtype)
    largest = maximum(turned, axis=1).astype(jnp.float32) * (sign * maps.slope) + maps.offset
    average = jnp.mean(rows, axis=1, dtype=jnp.float32) * maps.slope + maps.offset
    return average, largest


def scale(maps: Affine, gate: Float[Array, "B C"]) -> Float[Array, "B H W C"]:
    """The map times a gate for each channel of each sample, float32.

    Plain form: `gate * (slope x + offset)`. One affine map of x computes both, so that slope x +
    offset is never written, and the gradients of gate, slope and offset come from the same two sums
    over each channel of each sample.
    """
    x = maps.x.astype(jnp.float32)
    return x * (maps.slope * gate)[:, None, None, :] + (maps.offset * gate)[:, None, None, :]
