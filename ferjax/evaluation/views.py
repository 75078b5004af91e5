"""The views of an image that a test-time prediction averages over, as named numbers.

Shapes: B batch, H W C image before preprocessing, h w what is shown of it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.errors import one_of

# Side of a crop of `ten_crop`, as a share of the side of the image, where training had no crops.
CROP = 44 / 48
NAMES = ("single", "flip", "ten_crop")
_CENTER = (0.5, 0.5)
_PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), _CENTER)


class Part(NamedTuple):
    """One of the images that a view averages over.

    Attributes:
      place: None for the whole image; else where the crop lies between the top and the bottom (0 to
        1) and between the left and the right.
      mirrored: whether left and right are exchanged.
      crop: (h, w) in pixels of a crop shown unresized; None for a crop of 44/48 of the side, shown
        in full size.
      magnified: whether such a crop is resized to full size; otherwise the image is shifted until
        the crop is in its middle, with edge padding.
    """

    place: tuple[float, float] | None
    mirrored: bool
    crop: tuple[int, int] | None = None
    magnified: bool = False


def magnified(scale: tuple[float, float]) -> bool:
    """Whether training with this range of factors (`augment.scale`) showed 44/48 as the whole."""
    low, high = scale
    return low <= 1.0 / CROP <= high


def parts(
    name: str, *, crop: tuple[int, int] | None = None, magnified: bool = False
) -> tuple[Part, ...]:
    """The images that the view `name` averages over, at a scale that training showed.

    "single" is the whole image, "flip" image and mirror, "ten_crop" four corners and the centre and
    their mirrors. Where training showed random crops, so does every view: "single" is then the crop
    of the centre, "flip" this crop and its mirror, "ten_crop" has five crops of this size.
    Otherwise the crops of "ten_crop" have 44/48 of the side.

    Args:
      name: the view.
      crop: (h, w) in pixels of the crops of training (`Preprocessing.crop`), or None.
      magnified: without such crops, whether the crops of "ten_crop" are resized to full size,
        bilinearly; otherwise the image is shifted (see `Part`).

    Raises:
      UserError: another name.
    """
    one_of("The view", name, NAMES)
    whole = None if crop is None else _CENTER
    places: tuple[tuple[float, float] | None, ...] = (whole,)
    if name == "ten_crop":
        # The centre crop shifted to the middle is the whole image, which the other views show too.
        kept = crop is None and not magnified
        places = tuple(whole if kept and place == _CENTER else place for place in _PLACES)
    return tuple(
        Part(place, mirrored, crop, magnified and place is not None and crop is None)
        for mirrored in ((False,) if name == "single" else (False, True))
        for place in places
    )


def show(images: Float[Array, "B H W C"], part: Part) -> Float[Array, "B h w C"]:
    """One part of every image."""
    if part.place is not None:
        if part.crop is not None:
            images = _crop(images, part.place, part.crop)
        elif part.magnified:
            _, height, width, _ = images.shape
            size = (round(height * CROP), round(width * CROP))
            images = jax.image.resize(_crop(images, part.place, size), images.shape, "bilinear")
        else:
            images = _move(images, part.place)
    return images[:, :, ::-1, :] if part.mirrored else images


def _crop(
    images: Float[Array, "B H W C"], place: tuple[float, float], size: tuple[int, int]
) -> Float[Array, "B h w C"]:
    _, height, width, _ = images.shape
    top, left = int(place[0] * (height - size[0])), int(place[1] * (width - size[1]))
    return images[:, top : top + size[0], left : left + size[1], :]


def _move(images: Float[Array, "B H W C"], place: tuple[float, float]) -> Float[Array, "B H W C"]:
    """The image moved so that the crop at `place` comes to the middle; edges are repeated."""
    _, height, width, _ = images.shape
    reach = (round(height * (1.0 - CROP) / 2.0), round(width * (1.0 - CROP) / 2.0))
    pads = ((0, 0), (reach[0], reach[0]), (reach[1], reach[1]), (0, 0))
    return _crop(jnp.pad(images, pads, mode="edge"), place, (height, width))
