"""The detectors of faces by name."""

from __future__ import annotations

import functools

from ferjax.errors import UserError
from ferjax.inference.faces.face import Detector
from ferjax.inference.faces.mtcnn import Mtcnn
from ferjax.inference.faces.yunet import YuNet
from ferjax.inference.shipped import fetching

DEFAULT = "mtcnn"


@functools.cache
def create(name: str = DEFAULT) -> Detector:
    """A detector; the same one each time, as its programs are compiled once.

    Args:
      name: "mtcnn", which ferjax carries; "yunet", which `python -m ferjax.models --fetch=yunet`
        has fetched; or the path of another file of YuNet, which ends in .onnx.

    Raises:
      UserError: there is no such detector or file, it cannot be read, or OpenCV is not installed.
    """
    if name == "mtcnn":
        return Mtcnn()
    if name == "yunet":
        return YuNet(fetching.fetched("yunet", "detector")[0])
    if name.endswith(".onnx"):
        return YuNet(name)
    raise UserError(
        f"The detector is {name!r}; expected mtcnn, yunet, or the path of a file of YuNet that "
        "ends in .onnx."
    )
