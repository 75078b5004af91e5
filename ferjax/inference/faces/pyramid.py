"""All scales of a photograph beside each other in one image, so that one pass looks at them all.

A network that looks at windows of one size finds faces of that size; each scale of the pyramid has
the faces of another size. Shapes: B photographs, S the side of the largest scale.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# A window finds faces of its size, and those that are this much smaller.
_STEP = 0.709


class Level(NamedTuple):
    """A scale of the pyramid.

    Attributes:
      side: its height and width.
      top: where its first row lies in the image of all scales; even, as windows are two apart.
      left: where its first column lies.
    """

    side: int
    top: int
    left: int


class Pyramid(NamedTuple):
    """The scales, and the size of the image that holds them.

    Attributes:
      levels: the largest first.
      height: of the image.
      width: of the image.
    """

    levels: tuple[Level, ...]
    height: int
    width: int


def layout(side: int, smallest: int) -> Pyramid:
    """The scales from `side` down to `smallest`, in three columns."""
    sides = []
    scale = float(side)
    while scale >= smallest:
        sides.append(round(scale / 2) * 2)
        scale *= _STEP
    levels, left, height = [], 0, 0
    for column in (sides[:1], sides[1:3], sides[3:]):
        top = 0
        for one in column:
            levels.append(Level(one, top, left))
            top += one
        height, left = max(height, top), left + max(column, default=0)
    return Pyramid(tuple(levels), height, left)


def scales(photos: Float[Array, "B S S 3"], pyramid: Pyramid) -> Float[Array, "B height width 3"]:
    """The image of all scales; each is resized from the largest without aliasing."""
    made = jnp.zeros((len(photos), pyramid.height, pyramid.width, 3), photos.dtype)
    for level in pyramid.levels:
        matrix = _resizing(photos.shape[1], level.side)
        resized = jnp.einsum("oh,bhwc->bowc", matrix, photos, precision=lax.Precision.HIGHEST)
        resized = jnp.einsum("ow,bhwc->bhoc", matrix, resized, precision=lax.Precision.HIGHEST)
        made = lax.dynamic_update_slice(made, resized, (0, level.top, level.left, 0))
    return made


def _resizing(side: int, smaller: int) -> np.ndarray:
    """The matrix of an antialiased linear resizing, float32 [smaller, side]."""
    if side == smaller:
        return np.eye(side, dtype=np.float32)
    scale = side / smaller
    centres = (np.arange(smaller)[:, None] + 0.5) * scale - 0.5
    weight = np.maximum(0.0, 1.0 - np.abs(np.arange(side)[None] - centres) / scale)
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
