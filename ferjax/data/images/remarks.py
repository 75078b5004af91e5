"""What is worth saying about images that were read: what of a file is not used, what looks odd.

A model sees one picture without transparency, and takes it for a crop of a face. Whoever reads
files of a user collects what a person should know about them:

    with remarks.collected() as found:
        ...  # decodes images
    for sentence in found.sentences(): ...

Training reads what was looked at before, and collects nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.errors import UserError, some

FRAMES = "several frames, of which the first is used"
TRANSPARENCY = "transparent pixels, which are shown over white"
BAD_EXIF = "EXIF data that cannot be read, so that it may not be upright"
BLANK = "almost one grey level throughout, so that no face can be seen"
TINY = "less than a third of the side of the training images"
PHOTO = "the size and shape of a whole photograph, not of the crop of a face"
LARGE = (
    "over five times the side of the training images; a face in a photograph must be found first"
)

_NAMED = 3  # files that a sentence names
# Grey levels between the darkest and the brightest pixel of what shows nothing.
_FLAT = 8
# A crop of a face is about square. A longer side of so many pixels, in so far from the shape of the
# training images, is a photograph's; at twice their shape it is one whatever its size.
_PHOTO_SIDE, _PHOTO_SHAPE, _ODD_SHAPE = 400, 1.25, 2.0
# A square may be a photograph, too: crops are seldom so much larger than what models see.
_MANY_TIMES = 5


class Remarks:
    """Remarks on images, each with the names of the images that it is about."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def add(self, remark: str, where: str) -> None:
        """Notes a remark on one image; another time for the same image it does nothing."""
        self._names.setdefault(remark, set()).add(where)

    def kinds(self) -> tuple[str, ...]:
        """The remarks that were made."""
        return tuple(self._names)

    def sentences(self) -> tuple[str, ...]:
        """A sentence for each remark, with the number of images and some names."""
        return tuple(
            sentence(remark, len(names), sorted(names))
            for remark, names in sorted(self._names.items())
        )


class Tally:
    """As `Remarks` for any number of images, each seen once: it keeps a few names alone."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, remarks: Iterable[str], where: str) -> None:
        """Notes the remarks on one image."""
        for remark in remarks:
            self._counts[remark] = self._counts.get(remark, 0) + 1
            names = self._names.setdefault(remark, [])
            if len(names) <= _NAMED:
                names.append(where)

    def sentences(self) -> tuple[str, ...]:
        """As those of `Remarks`."""
        return tuple(
            sentence(remark, count, self._names[remark])
            for remark, count in sorted(self._counts.items())
        )


def sentence(remark: str, count: int, names: Iterable[str]) -> str:
    """A remark on so many images, of which some are named."""
    images = f"{count:,} image{'s have' if count > 1 else ' has'}"
    return f"{images} {remark} ({some(list(names), _NAMED)})."


_CURRENT: ContextVar[Remarks | None] = ContextVar("remarks", default=None)


@contextlib.contextmanager
def collected() -> Iterator[Remarks]:
    """Collects inside the block, in this thread."""
    found = Remarks()
    token = _CURRENT.set(found)
    try:
        yield found
    finally:
        _CURRENT.reset(token)


def note(remark: str, where: str) -> None:
    """Notes a remark on one image where something is collected."""
    found = _CURRENT.get()
    if found is not None:
        found.add(remark, where)


def look_at_frames(file: Image.Image, where: str) -> None:
    """Notes that a file, as Pillow opened it, has more frames than the one that is used."""
    # A camera's MPO has a second picture for its own use.
    if _CURRENT.get() is not None and file.format != "MPO" and _has_more_frames(file):
        note(FRAMES, where)


def look_at(pixels: Image.Image, where: str) -> None:
    """Notes what an image has and is not used, where something is collected; else does nothing.

    Args:
      pixels: the image, decoded.
      where: what to call it.

    Raises:
      UserError: all of it is transparent, so that nothing of it can be seen.
    """
    if _CURRENT.get() is None or not pixels.has_transparency_data:
        return
    layers = pixels if pixels.mode == "RGBA" else pixels.convert("RGBA")
    levels = np.asarray(layers.getchannel("A"))
    if not levels.any():
        raise UserError(
            f"{where} is wholly transparent, so that nothing of it can be seen; save it without "
            "its alpha channel, or leave it out."
        )
    if levels.min() < 255:
        note(TRANSPARENCY, where)


def look_at_crop(size: tuple[int, int], fitted: UInt8[np.ndarray, "h w c"], where: str) -> None:
    """Notes what speaks against an image being the crop of a face, where something is collected.

    Args:
      size: width and height of the image.
      fitted: the image in the shape of the training images.
      where: what to call it.
    """
    found = _CURRENT.get()
    if found is None:
        return
    (width, height), (fitted_height, fitted_width) = size, fitted.shape[:2]
    if int(fitted.max()) - int(fitted.min()) <= _FLAT:
        found.add(BLANK, where)
    if 3 * min(width, height) < min(fitted_width, fitted_height):
        found.add(TINY, where)
    shape = (width / height) / (fitted_width / fitted_height)
    shape = max(shape, 1 / shape)
    is_large = max(width, height) >= _PHOTO_SIDE
    if shape >= _ODD_SHAPE or (is_large and shape >= _PHOTO_SHAPE):
        found.add(PHOTO, where)
    elif is_large and min(width / fitted_width, height / fitted_height) > _MANY_TIMES:
        found.add(LARGE, where)


def _has_more_frames(file: Image.Image) -> bool:
    try:
        return getattr(file, "is_animated", False)
    except Exception:  # as many kinds as formats; what follows the first frame is no frame
        return False
