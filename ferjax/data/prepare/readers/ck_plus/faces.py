"""Faces of CK+, cut from its frames by their landmarks.

Coordinates are in pixels from the left and the upper edge of a frame, x first.

Shape letters: H W frame, S side of the face that is cut out, P points.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ferjax.data.prepare.faults import Fault
from ferjax.data.prepare.readers import numbers, text_files
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

NUM_POINTS = 68
DEFAULT_SIZE = 128
SMALLEST_SIZE, LARGEST_SIZE = 16, 1024

# In units of the longer side of the box around the landmarks. They reach from the brows to the
# chin, and expressions crease the forehead too: the square is moved up, so that a quarter of that
# side is above the brows, and a twentieth below the chin.
MARGIN = 0.15
LIFT = 0.1
# Points are fitted by a tracker, which guesses the points of a chin beyond the edge. Points further
# out than this share of the frame were not found in it.
_TOLERANCE = 0.1


def check_size(image_size: int | None) -> int:
    """The height and width of cropped faces; raises a UserError for one out of range."""
    if image_size is None:
        return DEFAULT_SIZE
    if not SMALLEST_SIZE <= image_size <= LARGEST_SIZE:
        raise UserError(
            f"--image_size is {image_size}; expected {SMALLEST_SIZE} to {LARGEST_SIZE} pixels."
        )
    return image_size


def points(tree: Tree, name: str) -> Float[np.ndarray, "P 2"]:
    """The 68 points of a landmark file, float64, in pixels; raises a UserError for any other."""
    rows = []
    where = tree.where(name)
    for number, line in text_files.lines(tree, name):
        point = [numbers.real(text) for text in line.split()]
        if len(point) != 2 or None in point:
            raise UserError(
                f"{where}, line {number}: expected the x and y of a point, found "
                f"{line.strip()[:60]!r}."
            )
        rows.append(point)
    if len(rows) != NUM_POINTS:
        raise Fault(
            f"{where} has {len(rows)} points; a face has {NUM_POINTS}.",
            "The file is cut short or another's: unpack the landmarks of CK+ again.",
        )
    found = np.array(rows, np.float64)
    if np.ptp(found, axis=0).max() < 1:
        raise UserError(f"{where}: all points are in one place, so that there is no face to crop.")
    return found


def check_inside(
    points: Float[np.ndarray, "P 2"], frame: UInt8[np.ndarray, "H W 1"], where: str
) -> None:
    """Raises a UserError that names the landmark file, `where`, if points are not in the frame."""
    height, width, _ = frame.shape
    limits = np.array([width, height])
    slack = _TOLERANCE * limits
    outside = ((points < -slack) | (points > limits + slack)).any(axis=1)
    if outside.any():
        x, y = points[outside.argmax()]
        raise Fault(
            f"{where}: {outside.sum()} of {len(points)} points are outside the frame, which has "
            f"{width}x{height} pixels (point {outside.argmax() + 1} is at {x:g}, {y:g}).",
            "The file belongs to another frame, or the frames were resized: use those of the "
            "release.",
        )


def square(points: Float[np.ndarray, "P 2"]) -> tuple[float, float, float]:
    """The square that is cut out: its left edge, its upper edge and its side, in pixels.

    With d the longer side of the box around the points, its side is (1 + 2 MARGIN) d, and its
    centre lies LIFT d above the centre of the box. It may leave the frame.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    longer = float((high - low).max())
    side = (1 + 2 * MARGIN) * longer
    x, y = (low + high) / 2
    return float(x) - side / 2, float(y) - LIFT * longer - side / 2, side


def crop(
    frame: UInt8[np.ndarray, "H W 1"], points: Float[np.ndarray, "P 2"], size: int
) -> UInt8[np.ndarray, "S S 1"]:
    """The face in a grey frame, S = `size`; pixels beyond an edge are those at the edge."""
    left, top, side = square(points)
    height, width, _ = frame.shape
    beyond = max(-left, -top, left + side - width, top + side - height, 0)
    padding = math.ceil(beyond)
    padded = np.pad(frame[:, :, 0], padding, mode="edge")
    box = (left + padding, top + padding, left + side + padding, top + side + padding)
    # Pillow widens the filter where it shrinks an image, so that nothing is aliased.
    face = Image.fromarray(padded).resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(face, np.uint8)[:, :, None]
