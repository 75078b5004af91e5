"""The detector YuNet, run by OpenCV, from a file that the user has named or fetched.

Wu et al., "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 20 (2023).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ferjax import local_files, refusals
from ferjax.errors import UserError
from ferjax.inference.faces.face import Face

# It finds faces of 10 to 300 pixels; a photograph is made smaller until this is its longer side.
_SIDE = 640
_SCORE, _OVERLAP, _MOST = 0.7, 0.3, 5000
# Columns of a row of OpenCV's result: left, top, width, height; two eyes, nose, mouth; score.
_BOX, _EYES, _ROW_SCORE = slice(0, 4), slice(4, 8), 14


class YuNet:
    """Finds faces by OpenCV's FaceDetectorYN; see `face.Detector`.

    Attributes:
      name: the path of the file.

    Args:
      file: an ONNX file of YuNet.

    Raises:
      UserError: the file cannot be read or is another one, or OpenCV is not installed.
    """

    def __init__(self, file: str | os.PathLike[str]):
        self.name = os.fspath(file)
        try:
            import cv2
        except ImportError:
            raise UserError(
                "The detector YuNet is run by OpenCV, which is not installed: "
                "pip install 'ferjax[faces]' installs it, and --detector=mtcnn works without."
            ) from None
        try:
            local_files.check_utf8(self.name)  # OpenCV crashes on another name
            local_files.check_regular(self.name)
        except OSError as error:
            raise UserError(
                f"The detector {self.name} cannot be read ({refusals.problem(error)})."
            ) from None
        self._error = cv2.error
        self._lock = threading.Lock()  # the size of the input is state of the network
        with _quiet(cv2.utils.logging), _explained(self.name, cv2.error):
            self._net = cv2.FaceDetectorYN.create(
                self.name, "", (_SIDE, _SIDE), _SCORE, _OVERLAP, _MOST
            )

    def __call__(self, photos: Sequence[Image.Image]) -> list[list[Face]]:
        """The faces of each photograph, which has the mode RGB; those of high score first."""
        return [self._in_one(photo) for photo in photos]

    def _in_one(self, photo: Image.Image) -> list[Face]:
        scale = max(1.0, max(photo.size) / _SIDE)
        width, height = (max(1, round(side / scale)) for side in photo.size)
        smaller = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2)
        blue_first = np.ascontiguousarray(np.asarray(smaller)[:, :, ::-1])
        with self._lock, _explained(self.name, self._error):
            self._net.setInputSize((width, height))
            _, rows = self._net.detect(blue_first)
        found = [] if rows is None else [row for row in rows if _is_possible(row, photo.size)]
        faces = [_face(row) for row in found]
        return [face.scaled(scale) for face in sorted(faces, key=lambda face: -face.score)]


def _is_possible(row: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a row is of a face about in the photograph; another network may give anything."""
    return bool(np.isfinite(row).all() and np.abs(row[:_ROW_SCORE]).max() <= 2 * max(size))


def _face(row: np.ndarray) -> Face:
    left, top, width, height = map(float, row[_BOX])
    x0, y0, x1, y1 = map(float, row[_EYES])
    first, second = sorted([(x0, y0), (x1, y1)])
    return Face((left, top, left + width, top + height), float(row[_ROW_SCORE]), (first, second))


@contextlib.contextmanager
def _quiet(log: Any) -> Iterator[None]:
    """Keeps OpenCV from warning of how it runs a network, which no user can change."""
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        log.setLogLevel(level)


@contextlib.contextmanager
def _explained(file: str, kind: type[Exception]) -> Iterator[None]:
    """Turns errors of OpenCV, whose texts are of its own code, into those that name the file."""
    try:
        yield
    except kind:
        raise UserError(
            f"OpenCV cannot use {file} as the detector YuNet; python -m ferjax.models "
            "--fetch=yunet fetches a file that it can."
        ) from None
