"""The crop of a face as a model was trained to see it: its eyes lie where they lay in training.

Shapes: h w the height and width of the training images.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, TypedDict

import numpy as np
from PIL import Image

from ferjax.inference.faces.face import Face
from ferjax.stored_json import between, whole

# A crop has at most so many pixels a side: more than any model sees.
_MOST_PIXELS = 512
_SPARE = 3  # pixels around it that turning mixes in


class Stored(TypedDict):
    """A `Framing` as JSON."""

    x: Annotated[float, between(-1.0, 2.0)]
    y: Annotated[float, between(-1.0, 2.0)]
    distance: Annotated[float, between(0.02, 2.0)]
    found: Annotated[int, whole(1)]
    images: Annotated[int, whole(1)]


@dataclasses.dataclass(frozen=True)
class Framing:
    """Where the eyes lie in the training images of a data set; see `measuring.measure`.

    Attributes:
      x: of the middle between both eyes, in widths of the image from its left edge.
      y: of that middle, in heights of the image from its upper edge.
      distance: between both eyes, in widths of the image.
      found: images in which a face was found, and so measured.
      images: images that were looked at.
    """

    x: float
    y: float
    distance: float
    found: int
    images: int


def of_stored(fields: Mapping[str, Any]) -> Framing:
    """The framing of a checked `Stored`; other fields are ignored."""
    return Framing(**{one.name: fields[one.name] for one in dataclasses.fields(Framing)})


class Crop(NamedTuple):
    """A face as the model is to see it.

    Attributes:
      image: the crop, RGB, in the shape of the training images and about as fine as the photograph.
      scale: sides of the photograph's pixels in one of a training image's.
      reaches_out: whether part of it lies outside of the photograph, where the photograph's edge is
        repeated.
    """

    image: Image.Image
    scale: float
    reaches_out: bool


def crop(photo: Image.Image, face: Face, framing: Framing, shape: tuple[int, int]) -> Crop:
    """Turns, scales and moves a photograph so that the eyes of a face lie as in training.

    Args:
      photo: RGB.
      face: with coordinates in `photo`.
      framing: of the model.
      shape: (h, w).
    """
    height, width = shape
    (x0, y0), (x1, y1) = face.eyes
    apart = max(math.hypot(x1 - x0, y1 - y0), 1.0)
    # Pixels of the photograph for a pixel of the training images.
    scale = apart / (framing.distance * width)
    finer = min(max(scale, 1.0), _MOST_PIXELS / max(shape))
    size = round(width * finer), round(height * finer)
    # From a place in the crop to the place in the photograph: turned as the head is.
    along = np.array([x1 - x0, y1 - y0]) / apart * (scale * width / size[0])
    matrix = np.array([[along[0], -along[1]], [along[1], along[0]]])
    middle = np.array([framing.x * size[0], framing.y * size[1]])
    origin = np.array([x0 + x1, y0 + y1]) / 2 - matrix @ middle
    part, corner, reaches_out = _part(photo, origin, matrix, size)
    halves = max(1, int(np.hypot(*along)))
    part = part.reduce(halves)
    (a, b), (d, e) = matrix / halves
    c, f = (origin - corner) / halves
    image = part.transform(
        size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )
    return Crop(image, scale, reaches_out)


def _part(
    photo: Image.Image, origin: np.ndarray, matrix: np.ndarray, size: tuple[int, int]
) -> tuple[Image.Image, np.ndarray, bool]:
    """The upright part around a crop, where it begins, and whether the crop reaches out of it."""
    corners = origin + [matrix @ (x, y) for x in (0, size[0]) for y in (0, size[1])]
    least, most = corners.min(axis=0), corners.max(axis=0)
    edges = np.array([0.0, 0.0]), np.array(photo.size, float)
    reaches_out = bool((least < edges[0] - 1).any() or (most > edges[1] + 1).any())
    low = np.floor(least).astype(int) - _SPARE
    high = np.ceil(most).astype(int) + _SPARE
    # What lies outside of the photograph is filled below.
    first = np.clip(low, 0, np.array(photo.size) - 1)
    last = np.clip(high, first + 1, photo.size)
    pixels = np.asarray(photo.crop((*first, *last)))
    (left, top), (right, bottom) = np.maximum(first - low, 0), np.maximum(high - last, 0)
    filled = np.pad(pixels, ((top, bottom), (left, right), (0, 0)), mode="edge")
    return Image.fromarray(filled), first - (left, top), reaches_out
