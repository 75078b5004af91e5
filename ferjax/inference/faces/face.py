"""A face in a photograph, and what finds faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from PIL import Image

Point = tuple[float, float]


class Face(NamedTuple):
    """A face that was found. Coordinates are pixels; x points right, y down, (0, 0) is a corner.

    Attributes:
      box: left, top, right and bottom, which may reach past the photograph.
      score: how sure the detector is, from 0 to 1.
      eyes: the centres of both eyes, that of the picture's left first.
    """

    box: tuple[float, float, float, float]
    score: float
    eyes: tuple[Point, Point]

    def scaled(self, factor: float) -> Face:
        """The same face in a photograph `factor` times as large."""
        left, top, right, bottom = (factor * value for value in self.box)
        first, second = ((factor * x, factor * y) for x, y in self.eyes)
        return Face((left, top, right, bottom), self.score, (first, second))


@runtime_checkable
class Detector(Protocol):
    """What finds faces.

    Attributes:
      name: how it is called.
    """

    name: str

    def __call__(self, photos: Sequence[Image.Image]) -> list[list[Face]]:
        """The faces of each photograph, which has the mode RGB; those of high score first."""
        ...
