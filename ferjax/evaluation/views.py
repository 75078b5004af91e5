"""The views of an image that a test-time prediction averages over, as named numbers.

Shapes: B batch, H W C image before preprocessing.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from ferjax.errors import UserError, nearest

# side of a crop, as a share of the side of the image
CROP = 44 / 48


class Part(NamedTuple):
    """One of the images that a view averages over.

    Attributes:
      crop: None for the whole image; else where the crop lies between the top and the bottom (0 to
        1) and between the left and the right.
      mirrored: whether left and right are exchanged.
    """

    crop: tuple[float, float] | None
    mirrored: bool


_CROPS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
_VIEWS = {
    "single": (Part(None, False),),
    "flip": (Part(None, False), Part(None, True)),
    "ten_crop": tuple(Part(crop, mirrored) for mirrored in (False, True) for crop in _CROPS),
}
NAMES = tuple(_VIEWS)


def parts(name: str) -> tuple[Part, ...]:
    """The images that the view `name` averages over.

    "single" is the whole image, "flip" image and mirror, "ten_crop" four corners and the centre at
    44/48 of the side, resized back bilinearly, and their mirrors.
    """
    check(name)
    return _VIEWS[name]


def show(images: Float[Array, "B H W C"], part: Part) -> Float[Array, "B H W C"]:
    """One part of every image, in the size of the whole."""
    if part.crop is not None:
        _, height, width, _ = images.shape
        crop_height, crop_width = round(height * CROP), round(width * CROP)
        top = int(part.crop[0] * (height - crop_height))
        left = int(part.crop[1] * (width - crop_width))
        crop = images[:, top : top + crop_height, left : left + crop_width, :]
        images = jax.image.resize(crop, images.shape, "bilinear")
    return images[:, :, ::-1, :] if part.mirrored else images


def check(name: str) -> None:
    """Raises UserError unless `name` is one of `NAMES`."""
    if name not in NAMES:
        raise UserError(
            f"The view {name!r} does not exist; expected one of {', '.join(NAMES)}."
            + nearest(name, NAMES)
        )
