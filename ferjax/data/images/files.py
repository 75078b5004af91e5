"""Image files of users, brought to the shape that a model was trained on.

Shape letters: N images, h w c a native shape (see `preprocess.Preprocessing`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ferjax.data.images import decoding
from ferjax.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def find(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that `paths` name: files as they are, folders searched in sorted order.

    Raises:
      UserError: a path that does not exist, or a folder without images.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in EXTENSIONS and file.is_file()
            )
            if not found:
                raise UserError(
                    f"The folder {path} has no image in it (looked for {', '.join(EXTENSIONS)})."
                )
            files += found
        elif path.exists():
            files.append(path)
        else:
            raise UserError(f"There is no file or folder {path}.")
    return files


def read(path: str | os.PathLike[str], native_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes one image file to uint8 [h, w, c].

    Raises:
      UserError: the file is not an image, is damaged, or has no fixed range of grey levels.
    """
    return decoding.fitted(decoding.opened(path, str(path)), native_shape)


def fit_array(image: np.ndarray, native_shape: tuple[int, int, int]) -> np.ndarray:
    """Brings a uint8 array [H, W], [H, W, 1] or [H, W, 3] to uint8 [h, w, c].

    An image that has this shape already is returned as it is, pixel for pixel.

    Raises:
      UserError: another type or shape.
    """
    if image.dtype != np.uint8 or not (
        image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    ):
        raise UserError(
            f"An image is {image.dtype} of shape {image.shape}; expected uint8 of shape [H, W], "
            "[H, W, 1] or [H, W, 3] with grey levels 0..255."
        )
    if image.shape == native_shape:
        return image
    planes = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return decoding.fitted(Image.fromarray(planes), native_shape)
