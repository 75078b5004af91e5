"""The detector that ferjax carries: the cascade of MTCNN, compiled by JAX.

The first network looks at every place of a photograph in every size, the second and the third look
again at what seems to be a face. Photographs of any size share the same compiled programs: the
first network sees them in a square of `_SIDE` pixels, and windows are cut out by Pillow.

Shapes: N windows of a photograph, B photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from ferjax.inference.faces import boxes as geometry
from ferjax.inference.faces import mtcnn_networks as networks
from ferjax.inference.faces import pyramid
from ferjax.inference.faces.boxes import Boxes
from ferjax.inference.faces.face import Face
from ferjax.inference.faces.mtcnn_networks import Windows

# The smallest face that is found is 12 pixels wide in a square of this side: a fortieth of the
# longer side of a photograph.
_SIDE = 480
_WINDOW, _STRIDE = 12, 2  # of the first network
_PYRAMID = pyramid.layout(_SIDE, _WINDOW)
# Fewer pixels show no expression.
_SMALLEST_FACE = 20
# Photographs and windows of a batch, which is padded: one program for each number.
_PHOTOS = (1, 4)
_WINDOWS = {24: (32, 128), 48: (8, 64)}
# A window is a face from these probabilities on.
_PROPOSED, _REFINED, _FOUND = 0.6, 0.7, 0.8


class Mtcnn:
    """Finds faces that look about towards the camera; see `face.Detector`.

    Attributes:
      name: "mtcnn".
    """

    name = "mtcnn"

    def __init__(self) -> None:
        self._weights = jax.device_put(networks.weights())
        self._propose = jax.jit(_propose)
        self._look = {24: jax.jit(_looking(networks.rnet)), 48: jax.jit(_looking(networks.onet))}

    def __call__(self, photos: Sequence[Image.Image]) -> list[list[Face]]:
        """The faces of each photograph, which has the mode RGB; those of high score first."""
        sources = [_Source(photo) for photo in photos]
        proposed = list(self._proposals(photos))
        refined = self._seen_again(sources, proposed, 24)
        squares = []
        for windows, one in zip(proposed, refined, strict=True):
            kept = np.flatnonzero(one.scores > _REFINED)
            kept = kept[geometry.suppressed(windows[kept], one.scores[kept], 0.7)]
            moved = geometry.squares(geometry.moved(windows[kept], one.offsets[kept]))
            squares.append(_large_enough(moved))
        final = self._seen_again(sources, squares, 48)
        return [_faces(windows, one) for windows, one in zip(squares, final, strict=True)]

    def _proposals(self, photos: Sequence[Image.Image]) -> Iterator[np.ndarray]:
        """The windows of each photograph that the first network takes for faces."""
        for start in range(0, len(photos), _PHOTOS[-1]):
            batch = photos[start : start + _PHOTOS[-1]]
            size = next(size for size in _PHOTOS if size >= len(batch))
            squares = np.full((size, _SIDE, _SIDE, 3), 127, np.uint8)
            for square, photo in zip(squares, batch, strict=False):
                width, height = _in_square(photo)
                resized = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)
                square[:height, :width] = np.asarray(resized)
            levels = jax.device_get(self._propose(self._weights, squares))
            for number, photo in enumerate(batch):
                yield _windows(photo, [_rows(one, number) for one in levels])

    def _seen_again(
        self, sources: Sequence[_Source], windows: Sequence[np.ndarray], side: int
    ) -> list[Windows]:
        """What a later network says of the windows of each photograph."""
        images = [
            source.cut(box, side)
            for source, found in zip(sources, windows, strict=True)
            for box in found
        ]
        sizes = _WINDOWS[side]
        parts = []
        for start in range(0, len(images), sizes[-1]):
            part = images[start : start + sizes[-1]]
            size = next(size for size in sizes if size >= len(part))
            padded = np.zeros((size, side, side, 3), np.uint8)
            padded[: len(part)] = part
            told = self._look[side](self._weights, padded)
            parts.append(_rows(jax.device_get(told), slice(len(part))))
        return list(_split(parts, [len(found) for found in windows]))


def _propose(weights: networks.Weights, photos: UInt8[jax.Array, "B S S 3"]) -> list[Windows]:
    """What the first network says of the windows of each level, [B, windows, windows]."""
    image = pyramid.scales(networks.normalized(photos), _PYRAMID)
    told = networks.pnet(weights, image)
    levels = []
    for level in _PYRAMID.levels:
        count = (level.side - _WINDOW) // _STRIDE + 1
        rows, columns = (
            slice(at // _STRIDE, at // _STRIDE + count) for at in (level.top, level.left)
        )
        levels.append(Windows(told.scores[:, rows, columns], told.offsets[:, rows, columns]))
    return levels


def _looking(network: Callable[..., Windows]) -> Callable[..., Windows]:
    return lambda weights, windows: network(weights, networks.normalized(windows))


def _in_square(photo: Image.Image) -> tuple[int, int]:
    """Width and height of a photograph that fits the square of the first network."""
    longest = max(photo.size)
    width, height = (max(1, round(side * _SIDE / longest)) for side in photo.size)
    return width, height


def _windows(photo: Image.Image, levels: Sequence[Windows]) -> np.ndarray:
    """Squares around what the first network takes for faces, in pixels of the photograph."""
    width, height = _in_square(photo)
    scale = np.array([photo.width / width, photo.height / height] * 2)
    found, scores = [np.zeros((0, 4))], [np.zeros(0)]
    for level, told in zip(_PYRAMID.levels, levels, strict=True):
        rows, columns = np.nonzero(told.scores > _PROPOSED)
        corners = np.stack([columns, rows], axis=1) * float(_STRIDE)
        windows = np.concatenate([corners, corners + _WINDOW], axis=1)
        moved = geometry.moved(windows, told.offsets[rows, columns].astype(float))
        chances = told.scores[rows, columns].astype(float)
        kept = geometry.suppressed(windows, chances, 0.5)
        found.append(moved[kept] * (_SIDE / level.side))
        scores.append(chances[kept])
    windows, chances = np.concatenate(found) * scale, np.concatenate(scores)
    kept = geometry.suppressed(windows, chances, 0.7)
    return _large_enough(geometry.squares(windows[kept]))


def _large_enough(squares: Boxes) -> Float[np.ndarray, "M 4"]:
    """Those that can be a face; offsets can also make a window as small as nothing."""
    return squares[squares[:, 2] - squares[:, 0] >= _SMALLEST_FACE]


def _faces(windows: Boxes, told: Windows) -> list[Face]:
    """The faces among windows that the last network has seen, each once."""
    assert told.points is not None
    sides = windows[:, 2:] - windows[:, :2]
    eyes = np.stack(
        [windows[:, :2] + sides * told.points[:, [eye, 5 + eye]] for eye in (0, 1)], axis=1
    )
    found = geometry.moved(windows, told.offsets)
    kept = np.flatnonzero(told.scores > _FOUND)
    kept = kept[geometry.suppressed(found[kept], told.scores[kept], 0.7, geometry.over_smaller)]
    faces = []
    for one in kept:
        left, right = sorted((float(x), float(y)) for x, y in eyes[one])
        x0, y0, x1, y1 = map(float, found[one])
        faces.append(Face((x0, y0, x1, y1), float(told.scores[one]), (left, right)))
    return faces


class _Source:
    """A photograph from which windows of one size are cut, by halves of it where they do.

    Args:
      photo: the photograph.
    """

    def __init__(self, photo: Image.Image):
        self._halves = [photo]

    def cut(self, box: Float[np.ndarray, " 4"], side: int) -> UInt8[np.ndarray, "side side 3"]:
        """A window, resized; black where it reaches past the photograph."""
        times = 0
        while (box[2] - box[0]) / 2 ** (times + 1) >= 2 * side:
            times += 1
        while len(self._halves) <= times:
            self._halves.append(self._halves[-1].reduce(2))
        edges = tuple(round(float(edge) / 2**times) for edge in box)
        window = self._halves[times].crop(edges)
        return np.asarray(window.resize((side, side), Image.Resampling.BILINEAR))


def _split(parts: Sequence[Windows], counts: Sequence[int]) -> Iterator[Windows]:
    """What was said of all windows, for each photograph."""
    if parts:
        whole = jax.tree.map(lambda *each: np.concatenate(each), *parts)
    else:
        whole = Windows(np.zeros(0), np.zeros((0, 4)), np.zeros((0, 10)))
    start = 0
    for count in counts:
        yield _rows(whole, slice(start, start + count))
        start += count


def _rows(told: Windows, which: int | slice) -> Windows:
    return jax.tree.map(lambda values: values[which], told)
