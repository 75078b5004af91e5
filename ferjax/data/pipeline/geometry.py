"""Moving the pixels of one image: by whole pixels exactly, else by one bilinear resampling.

Shapes: H W C image, h w size of the result.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def grid(height: int, width: int) -> tuple[Float[Array, "H 1"], Float[Array, "1 W"]]:
    """The row of every pixel, and its column."""
    return (
        jnp.arange(height, dtype=jnp.float32)[:, None],
        jnp.arange(width, dtype=jnp.float32)[None, :],
    )


def shift_and_flip(
    image: Float[Array, "H W C"],
    shift: Int[Array, "2"],
    flip: Bool[Array, ""],
    size: tuple[int, int] | None = None,
) -> Float[Array, "h w C"]:
    """Mirrors an image, then moves it by whole pixels, repeating its edges; exact.

    The result has the pixels from row and column `shift` on, `size` of them, or as many as the
    image has. Accelerators multiply by two selection matrices, which is faster there than a gather;
    CPUs gather.
    """
    height, width, _ = image.shape
    seen_height, seen_width = size or (height, width)
    rows = jnp.clip(jnp.arange(seen_height) + shift[0], 0, height - 1)
    columns = jnp.clip(jnp.arange(seen_width) + shift[1], 0, width - 1)
    columns = jnp.where(flip, width - 1 - columns, columns)
    return jax.lax.platform_dependent(image, rows, columns, cpu=_gather, default=_select)


def _gather(image: Array, rows: Array, columns: Array) -> Array:
    return image[rows[:, None], columns[None, :]]


def _select(image: Array, rows: Array, columns: Array) -> Array:
    height, width, _ = image.shape
    image = jnp.einsum("yh,hwc->ywc", jax.nn.one_hot(rows, height, dtype=image.dtype), image)
    return jnp.einsum("xw,ywc->yxc", jax.nn.one_hot(columns, width, dtype=image.dtype), image)


def resample(
    image: Float[Array, "H W C"],
    shift: Int[Array, "2"] | Float[Array, "2"],
    flip: Bool[Array, ""],
    angle: Float[Array, ""],
    *,
    factor: Float[Array, ""] | None = None,
    corner: Int[Array, "2"] | None = None,
    size: tuple[int, int] | None = None,
) -> Float[Array, "h w C"]:
    """Bilinear sampling of a moved image, with edge padding.

    In this order: mirrored, magnified about its centre, shifted, rotated about its centre, cropped.

    Args:
      image: an image with any grey levels.
      shift: (rows, columns) in pixels of the magnified image; without a rotation the pixel there
        moves to (0, 0).
      flip: whether it is mirrored.
      angle: in radians.
      factor: the magnification; None for 1.
      corner: top left pixel of the crop; None for (0, 0).
      size: (h, w) of the crop; None for (H, W).
    """
    height, width, _ = image.shape
    rows, columns = grid(*(size or (height, width)))
    if corner is not None:
        rows, columns = rows + corner[0], columns + corner[1]
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    source_y = cos * y - sin * x + shift[0]
    source_x = sin * y + cos * x + shift[1]
    if factor is not None:
        source_y, source_x = source_y / factor, source_x / factor
    source_x = jnp.where(flip, -source_x, source_x)
    points = [source_y + (height - 1) / 2, source_x + (width - 1) / 2]

    def sample(plane: Float[Array, "H W"]) -> Float[Array, "h w"]:
        return jax.scipy.ndimage.map_coordinates(plane, points, order=1, mode="nearest")

    return jax.vmap(sample, in_axes=2, out_axes=2)(image)
