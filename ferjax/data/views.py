"""The views of an image that a test-time prediction averages over, as named numbers.

Shapes: B batch, H W C image before preprocessing, V views.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.errors import UserError, nearest

NAMES = ("single", "flip", "ten_crop")
# side of a crop, as a share of the side of the image
CROP = 44 / 48


def views(images: Float[Array, "B H W C"], name: str) -> Float[Array, "V B H W C"]:
    """The views that `name` averages over.

    Args:
      images: grey levels 0..255.
      name: "single" (the whole image), "flip" (image and mirror) or "ten_crop" (four corners and
        centre at 44/48 of the side, resized back bilinearly, and their mirrors).
    """
    if name == "single":
        return images[None]
    if name == "flip":
        return jnp.stack([images, _mirror(images)])
    check(name)
    _, height, width, _ = images.shape
    crop_height, crop_width = round(height * CROP), round(width * CROP)
    bottom, right = height - crop_height, width - crop_width
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = [
        jax.image.resize(
            images[:, top : top + crop_height, left : left + crop_width, :],
            images.shape,
            "bilinear",
        )
        for top, left in corners
    ]
    return jnp.stack([*crops, *(_mirror(crop) for crop in crops)])


def check(name: str) -> None:
    """Raises UserError unless `name` is one of `NAMES`."""
    if name not in NAMES:
        raise UserError(
            f"The view {name!r} does not exist; expected one of {', '.join(NAMES)}."
            + nearest(name, NAMES)
        )


def _mirror(images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    return images[:, :, ::-1, :]
