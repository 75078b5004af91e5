"""From the bytes of an image file to pixels: one decoder for preparation, training and prediction.

Shape letters: H W C image.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from ferjax import local_files, refusals
from ferjax.data.images import kinds, remarks
from ferjax.errors import UserError, one_line

# The grey level behind transparent pixels, in training, evaluation and prediction alike.
BACKGROUND = 255
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
        `remarks` collects, and refuses the image.
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


def opened(source: bytes | str | os.PathLike[str], where: str) -> Image.Image:
    """The decoded image of a regular file or of its bytes, upright and without transparency.

    Of several frames it is the first. Transparent pixels are shown over `BACKGROUND`.

    Raises:
      UserError: as `decode`, or the file cannot be read, or `remarks` refuses it.
    """
    with _image(source, where) as image:
        return seen(image, where)
    raise AssertionError("an image was returned or an error raised")


def seen(image: Image.Image, where: str) -> Image.Image:
    """An image that Pillow has opened or made, as `opened`; raises as it does."""
    where = one_line(where)
    if not all(image.size):
        width, height = image.size
        raise UserError(f"{where} has {width}x{height} pixels, and so nothing to see.")
    with _errors(where):
        _check_levels(image, where)
        # Before the pixels are read, after which Pillow may have closed the file.
        remarks.look_at_frames(image, where)
        image.load()  # before the turn is asked for: Pillow turns TIFF files itself
        turn = _turn(image, where)
        upright = image if turn is None else image.transpose(turn)
        remarks.look_at(upright, where)
        return _opaque(upright)
    raise AssertionError("an image was returned or an error raised")


_ORIENTATION = 0x0112  # EXIF's tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _turn(image: Image.Image, where: str) -> Image.Transpose | None:
    """What turns an image upright by its EXIF data, if they can be read."""
    try:
        return _TURNS.get(int(image.getexif().get(_ORIENTATION, 1)))
    except Exception:  # as many kinds as slips in these data; the pixels are whole
        remarks.note(remarks.BAD_EXIF, where)
        return None


def _opaque(image: Image.Image) -> Image.Image:
    """An image over the background, if any of it is transparent; else as it is."""
    if not image.has_transparency_data:
        return image
    layers = image if image.mode == "RGBA" else image.convert("RGBA")
    if np.asarray(layers.getchannel("A")).min() == 255:
        return image
    behind = Image.new("RGBA", image.size, (BACKGROUND,) * 3 + (255,))
    composed = Image.alpha_composite(behind, layers)
    return composed.convert("L" if image.mode in _GREY_MODES else "RGB")


def _check_levels(image: Image.Image, where: str) -> None:
    """Refuses pixels whose grey levels are not 0 to 255."""
    if image.mode not in _MODES or _is_deep(image):
        more = " with 16 bits per channel" if image.mode in _MODES else ""
        fix = ""
        if image.mode.startswith("I"):
            fix = " If 65535 is white, numpy.asarray(image) // 257 as uint8 does it."
        raise UserError(
            f"{where} has pixels of mode {image.mode}{more}, and which of their levels are black "
            f"and white is not known; convert it to 8 bits per channel, grey or RGB.{fix}"
        )
    if image.format != "TIFF":
        return
    if _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        raise UserError(
            f"{where} has signed levels, -128 to 127; convert it to levels from 0 to 255."
        )
    if _tag(image, _SUBFILE_TYPE) & 1 or _tag(image, _DNG_VERSION):
        raise UserError(
            f"{where} is a camera's raw file, whose first picture is a small preview; export it as "
            "JPEG or PNG."
        )


# Numbers of TIFF's tags; bit 0 of the first marks a picture that is a smaller copy of another.
_SUBFILE_TYPE, _SAMPLE_FORMAT, _DNG_VERSION = 254, 339, 50706
_SIGNED = 2


def _tag(image: Image.Image, number: int) -> int:
    """A number that a TIFF file holds, 0 where it has none; of several the first."""
    value = getattr(image, "tag_v2", {}).get(number, 0)
    value = value[0] if isinstance(value, tuple | bytes) and value else value
    return value if isinstance(value, int) else 0


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
    with file, _errors(where):
        # Of all that Pillow reads only these formats: others take long, or start programs.
        formats = (_image_format(file.read(kinds.HEAD_BYTES), where),)
        file.seek(0)
        with Image.open(file, formats=formats) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(where, f"{width}x{height} pixels")
            yield image


def _image_format(head: bytes, where: str) -> str:
    """Pillow's name of the format that a file has; its decoder is ready."""
    kind = kinds.of(head)
    if not kind.is_image:
        found = f" (it begins with {head[:8]!r})" if kind == kinds.UNKNOWN else ""
        advice = kind.advice or "give JPEG, PNG or another common format"
        raise UserError(
            f"{one_line(where)} is not an image that can be read: it is {kind.name}{found}; "
            f"{advice}."
        )
    if kind.format == "HEIF":
        importlib.import_module(kinds.heic_decoder() or "").register_heif_opener()
    return kind.format


def _too_large(where: str, found: str) -> UserError:
    return UserError(
        f"{one_line(where)} has {found}, more than the {MAX_PIXELS:,} that an image may have; "
        "make it smaller, or crop the face."
    )


@contextlib.contextmanager
def _errors(where: str) -> Iterator[None]:
    """Turns Pillow's errors into those that name the file."""
    where = one_line(where)
    try:
        yield
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(
            f"{where} is a damaged image (it begins as one, and its header cannot be read)."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        told = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(where, f"{int(told[1]):,} pixels" if told else "too many") from None
    except _DAMAGE as error:
        raise UserError(
            f"{where} is a damaged image ({str(error) or type(error).__name__})."
        ) from None


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
