"""From the bytes of an image file to pixels: one decoder for preparation, training and prediction.

Shape letters: H W C image.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from ferjax import local_files, refusals
from ferjax.data.images import unused
from ferjax.errors import UserError, one_line

# Of all that Pillow reads: others take long or start programs, as Ghostscript for PostScript.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "GIF")
# A camera's largest photograph has half of it; Pillow warns of more, and stops at twice as many.
MAX_PIXELS = 89_478_485
# What damaged files make Pillow and the libraries below it raise.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_GREY_MODES = ("1", "L", "LA")
# Of at most 8 bits per channel, which Pillow converts to RGB. Integers of up to 32 bits and floats
# have no fixed range of grey levels.
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def decode(data: bytes, where: str, channels: int) -> UInt8[np.ndarray, "H W C"]:
    """The pixels of an image file, upright by its EXIF tag.

    Args:
      data: the file.
      where: what to call it in a message.
      channels: 1 for grey (ITU-R 601 luma of a colour image), 3 for RGB (grey replicated).

    Raises:
      UserError: the bytes are no image, are damaged, or have more than 8 bits per channel; or
        `unused` collects, and refuses the image.
    """
    return _array(opened(data, where), channels)


def native_channels(data: bytes, where: str) -> int:
    """1 for an image file that is stored grey, else 3, by its header; raises as `decode` does."""
    with _image(data, where) as image:
        return 1 if image.mode in _GREY_MODES else 3


def native_size(data: bytes, where: str) -> tuple[int, int]:
    """Width and height of an image file as it is stored, by its header; raises as `decode` does."""
    with _image(data, where) as image:
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
    """The decoded image of a regular file or of its bytes, upright.

    Raises:
      UserError: as `decode`, or the file cannot be read, or `unused` refuses it.
    """
    with _image(source, where) as image:
        _check_depth(image, one_line(where))
        upright = ImageOps.exif_transpose(image)
        upright.load()
        unused.look_at(image, upright, one_line(where))
        return upright
    raise AssertionError("an image was returned or an error raised")


def _check_depth(image: Image.Image, where: str) -> None:
    if image.mode not in _MODES or _is_deep(image):
        more = " with 16 bits per channel" if image.mode in _MODES else ""
        raise UserError(
            f"{where} has pixels of mode {image.mode}{more}; convert it to 8 bits per channel, "
            "grey or RGB."
        )


def _is_deep(image: Image.Image) -> bool:
    """Whether a file has more than 8 bits per channel, of which Pillow would keep the upper 8."""
    if image.format == "BMP":  # whose 16 bits are those of a pixel
        return False
    for codec, _, _, arguments in getattr(image, "tile", ()):
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        if ";16" in str(arguments[0]):
            return True
        if codec.startswith("ppm") and arguments[-1] > 255:
            return True
    return False


@contextlib.contextmanager
def _image(source: bytes | str | os.PathLike[str], where: str) -> Iterator[Image.Image]:
    """An image whose header is read; raises as `opened` does, also out of the block."""
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else local_files.open_regular(source)
    except OSError as error:
        raise UserError(f"{one_line(where)} cannot be read ({refusals.problem(error)}).") from None
    with file, _errors(source, where), Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise _too_large(where, f"{width}x{height} pixels")
        yield image


def _too_large(where: str, found: str) -> UserError:
    return UserError(
        f"{one_line(where)} has {found}, more than the {MAX_PIXELS:,} that an image may have; "
        "make it smaller, or crop the face."
    )


@contextlib.contextmanager
def _errors(source: bytes | str | os.PathLike[str], where: str) -> Iterator[None]:
    """Turns Pillow's errors into those that name the file."""
    where = one_line(where)
    try:
        yield
    except UserError:
        raise
    except UnidentifiedImageError:
        found = ""
        if isinstance(source, bytes):
            found = f" ({len(source):,} bytes, beginning with {source[:8]!r})"
        raise UserError(
            f"{where} is not an image that can be read{found}; give JPEG, PNG or another common "
            "format."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        told = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(where, f"{int(told[1]):,} pixels" if told else "too many") from None
    except _DAMAGE as error:
        raise UserError(
            f"{where} is a damaged image ({str(error) or type(error).__name__})."
        ) from None


def from_pillow(image: Image.Image, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "H W C"]:
    """An image that somebody opened or made, as `fitted`; raises a UserError as `opened` does."""
    _check_depth(image, "The image")
    return fitted(image, shape)


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
