"""The detectors of faces by name."""

from __future__ import annotations

import functools
import os

from ferjax.errors import UserError
from ferjax.inference.faces.face import Detector
from ferjax.inference.faces.mtcnn import Mtcnn
from ferjax.inference.faces.yunet import YuNet
from ferjax.inference.shipped import fetching

DEFAULT = "mtcnn"


def create(name: str | os.PathLike[str] = DEFAULT) -> Detector:
    """A detector; the same one each time while its file is the same.

    Args:
      name: "mtcnn", which ferjax carries; "yunet", which `python -m ferjax.models --fetch=yunet`
        has fetched; or the path of another file of YuNet, which ends in .onnx.

    Raises:
      UserError: there is no such detector or file, it cannot be read, or OpenCV is not installed.
    """
    if name == "mtcnn":
        return _mtcnn()
    if name == "yunet":
        return _of_file(fetching.fetched("yunet", "detector")[0])
    if isinstance(name, str | os.PathLike) and os.fspath(name).endswith(".onnx"):
        return _of_file(name)
    raise UserError(
        f"The detector is {name!r}; expected mtcnn, yunet, or the path of a file of YuNet that "
        "ends in .onnx."
    )


@functools.cache
def _mtcnn() -> Mtcnn:
    return Mtcnn()


def _of_file(file: str | os.PathLike[str]) -> YuNet:
    try:
        now = os.stat(file)
    except (OSError, ValueError):
        return YuNet(file)  # which says what is wrong with it
    return _yunet(os.path.realpath(file), (now.st_mtime_ns, now.st_size))


@functools.lru_cache(maxsize=4)
def _yunet(file: str, stamp: tuple[int, int]) -> YuNet:
    """The detector of a file as it is now: `stamp` changes when the file does."""
    return YuNet(file)
