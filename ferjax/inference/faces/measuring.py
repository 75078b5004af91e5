"""Where faces lie in the training images of a data set, by the detector that ferjax carries.

A model knows faces as its training images show them: cropped with some margin, the eyes at some
place. A photograph is to be cropped in the same way, so the place is measured once for each data
set, and kept in the description of every model that is trained on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from ferjax.data.examples import Images
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.faces.face import Face
from ferjax.inference.faces.mtcnn import Mtcnn

# Images that are measured, evenly spread over those that train.
MEASURED = 256
# Below so many faces among them it is not known how the data set shows a face.
_LEAST_PART = 0.25
# Images lie in sheets, each in a cell of grey with a margin: the detector looks for small faces in
# large photographs, and a sheet takes it as long as one image.
_CELL, _SIDE, _COLUMNS = 80, 64, 6


def measure(images: Images, positions: Int[np.ndarray, " N"]) -> Framing | None:
    """The median place of the eyes in some of the images at `positions`.

    Args:
      images: uint8 [all, h, w, c], of one size or of several.
      positions: of the training images.

    Returns:
      None if a face is found in less than a quarter of them.
    """
    spread = np.linspace(0, len(positions) - 1, min(MEASURED, len(positions)))
    chosen = positions[np.unique(spread.round().astype(int))]
    found = [place for place in places(images, chosen) if place is not None]
    if not found or len(found) < _LEAST_PART * len(chosen):
        return None
    x, y, distance = np.median(np.array(found), axis=0).round(4).tolist()
    return Framing(x, y, distance, found=len(found), images=len(chosen))


def places(
    images: Images, chosen: Int[np.ndarray, " N"]
) -> Iterator[tuple[float, float, float] | None]:
    """Where the eyes lie in each of the images at `chosen`, in their order.

    Yields:
      The middle between the eyes and their distance, in sides of the image; None for an image in
      which no face is found.
    """
    detector, cells = Mtcnn(), _COLUMNS**2
    for start in range(0, len(chosen), 4 * cells):  # a batch of the detector
        pixels = images[chosen[start : start + 4 * cells]]
        sheets = [_sheet(pixels[first : first + cells]) for first in range(0, len(pixels), cells)]
        found = detector(sheets)
        for number in range(len(pixels)):
            yield _in_cell(found[number // cells], number % cells, pixels.shape[1:3])


def _sheet(pixels: UInt8[np.ndarray, "B h w C"]) -> Image.Image:
    """Images in the middles of grey cells."""
    sheet = Image.new("RGB", (_COLUMNS * _CELL,) * 2, (127,) * 3)
    for number, one in enumerate(pixels):
        image = Image.fromarray(one[:, :, 0] if one.shape[2] == 1 else one)
        resized = image.convert("RGB").resize(_size(one.shape[:2]), Image.Resampling.BICUBIC)
        corner = _corner(number, one.shape[:2])
        sheet.paste(resized, corner)
    return sheet


def _in_cell(
    faces: Sequence[Face], cell: int, shape: tuple[int, ...]
) -> tuple[float, float, float] | None:
    """The place of the best face whose eyes are both in the image of a cell."""
    (width, height), corner = _size(shape), _corner(cell, shape)
    for face in faces:
        eyes = np.array(face.eyes) - corner
        if (eyes >= 0).all() and (eyes <= (width, height)).all():
            x, y = eyes.mean(axis=0) / (width, height)
            return float(x), float(y), float(np.hypot(*(eyes[1] - eyes[0]))) / width
    return None


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of an image in a sheet."""
    height, width = (max(1, round(side * _SIDE / max(shape))) for side in shape)
    return width, height


def _corner(cell: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """Where the image of a cell begins in its sheet."""
    width, height = _size(shape)
    row, column = divmod(cell, _COLUMNS)
    return column * _CELL + (_CELL - width) // 2, row * _CELL + (_CELL - height) // 2
