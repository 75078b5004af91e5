"""What is seen in one image: the expressions of its faces.

Shapes: h w c the native shape of a model, K classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ferjax.errors import one_line
from ferjax.inference.faces.face import Face
from ferjax.inference.formats import Row, box_text
from ferjax.inference.reading import Photo


class Found(NamedTuple):
    """The expression of one face.

    Attributes:
      label: the most probable class.
      probabilities: float32 [K].
      pixels: what the model sees, uint8 [h, w, c].
      face: where it is in the image, in pixels of the file; None in an image that was taken for the
        crop of one face, where no face was looked for.
    """

    label: str
    probabilities: np.ndarray
    pixels: np.ndarray
    face: Face | None

    def __repr__(self) -> str:
        place = "" if self.face is None else f" at {box_text(self.face)}"
        score = "" if self.face is None else f", score {self.face.score:.2f}"
        best = 100 * float(self.probabilities.max())
        return f"<{one_line(self.label)} {best:.1f} %{place}{score}>"


class Seen(NamedTuple):
    """One image of many.

    Attributes:
      name: the path of a file, else "image 3" by its position.
      faces: those that were found, those of a high score first.
      problem: the sentence about an image that could not be read; else "".
      remarks: what is worth saying about it; see `ferjax.data.images.remarks`.
      photo: the photograph; None if the image was taken for a crop, or could not be read.
    """

    name: str
    faces: tuple[Found, ...]
    problem: str
    remarks: tuple[str, ...]
    photo: Photo | None


def rows(one: Seen) -> list[Row]:
    """What a document says of an image: a row for each face, or one that says why it has none."""
    if one.problem:
        return [Row(one.name, "", [], one.remarks, one.problem)]
    if not one.faces:
        return [Row(one.name, "", [], one.remarks, number=0)]
    return [
        Row(
            one.name,
            found.label,
            found.probabilities.tolist(),
            one.remarks,
            number=None if found.face is None else number,
            face=found.face,
        )
        for number, found in enumerate(one.faces, start=1)
    ]
