"""From the bytes of an image file to pixels: one decoder for preparation, training and prediction.

Shape letters: H W C image.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax.errors import UserError

# Pillow's modes with one integer of up to 32 bits or a float per pixel have no fixed range.
_UNBOUNDED_MODES = ("I", "F")
_GREY_MODES = ("1", "L", "LA")


def decode(data: bytes, where: str, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """The pixels of an image file, upright by its EXIF tag.

    Args:
      data: the file.
      where: what to call it in a message.
      channels: 1 for grey (ITU-R 601 luma of a colour image), 3 for RGB (grey replicated).

    Raises:
      UserError: the bytes are no image, are damaged, or have no fixed range of grey levels.
    """
    return _array(opened(data, where), channels)


def native_channels(data: bytes, where: str) -> int:
    """1 for an image file that is stored grey, else 3, by its header; raises as `decode` does."""
    with _errors(data, where), Image.open(io.BytesIO(data)) as image:
        return 1 if image.mode in _GREY_MODES else 3


def native_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of an image file as it is stored, by its header; raises as `decode` does."""
    with _errors(data, where), Image.open(io.BytesIO(data)) as image:
        return image.size


def check_size(data: bytes, where: str, side: int, what: str, advice: str) -> None:
    """Raises a UserError unless an image file is a square of `side` pixels, by its header.

    Args:
      data: the file.
      where: what to call it in a message.
      side: height and width in pixels.
      what: the kind of image that has this size.
      advice: a sentence on what to do about an image of another size.
    """
    width, height = native_size(data, where)
    if (width, height) != (side, side):
        raise UserError(f"{where} has {width}x{height} pixels; {what} has {side}x{side}. {advice}")


def opened(source: bytes | str | os.PathLike[str], where: str) -> Image.Image:
    """The decoded image of a file or of its bytes, upright; raises as `decode` does."""
    with _errors(source, where):
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file) as image:
            if image.mode.split(";")[0] in _UNBOUNDED_MODES:
                raise UserError(
                    f"{where} has pixels of mode {image.mode}, whose range is not known; convert "
                    "it to 8 bits per channel."
                )
            upright = ImageOps.exif_transpose(image)
            upright.load()
            return upright
    raise AssertionError("an image was returned or an error raised")


@contextlib.contextmanager
def _errors(source: bytes | str | os.PathLike[str], where: str) -> Iterator[None]:
    """Turns Pillow's errors into those that name the file."""
    try:
        yield
    except UnidentifiedImageError:
        found = ""
        if isinstance(source, bytes):
            found = f" ({len(source):,} bytes, beginning with {source[:8]!r})"
        raise UserError(
            f"{where} is not an image that can be read{found}; give JPEG, PNG or another common "
            "format."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{where} is a damaged image ({error}).") from None


def fitted(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "H W C"]:
    """An image in a given (height, width, channels), resized bilinearly if need be."""
    height, width, channels = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def _array(image: Image.Image, channels: int) -> UInt8[np.ndarray, "H W C"]:
    width, height = image.size
    return fitted(image, (height, width, channels))
