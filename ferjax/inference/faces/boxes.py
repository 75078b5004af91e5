"""Boxes around faces: overlap, and which of several around one face stays.

Shapes: N boxes. A box is left, top, right, bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

Boxes = Float[np.ndarray, "N 4"]


def over_union(box: Float[np.ndarray, " 4"], others: Boxes) -> Float[np.ndarray, " N"]:
    """The overlap of a box with each of the others, as a part of what both cover."""
    shared = _shared(box, others)
    return shared / (_area(box) + _area(others) - shared)


def over_smaller(box: Float[np.ndarray, " 4"], others: Boxes) -> Float[np.ndarray, " N"]:
    """The overlap of a box with each of the others, as a part of the smaller one."""
    return _shared(box, others) / np.minimum(_area(box), _area(others))


def suppressed(
    boxes: Boxes,
    scores: Float[np.ndarray, " N"],
    most: float,
    overlap: Callable[..., np.ndarray] = over_union,
) -> Int[np.ndarray, " M"]:
    """Positions of the boxes that stay, the best first, by non-maximum suppression.

    A box goes if it overlaps by more than `most` with one that stays and has a higher score.
    """
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[overlap(boxes[best], boxes[order]) <= most]
    return np.array(kept, np.intp)


def squares(boxes: Boxes) -> Boxes:
    """Around the same centres, as wide and high as the longer side."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def moved(boxes: Boxes, offsets: Boxes) -> Boxes:
    """Boxes whose edges are moved, by offsets in widths and heights of the boxes."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + offsets * np.concatenate([sides, sides], axis=1)


def _shared(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.prod(np.maximum(sides, 0.0), axis=1)


def _area(boxes: np.ndarray) -> Any:
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
