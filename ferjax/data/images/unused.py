"""What of an image file is not used, counted: its further frames, and its transparency.

A model sees one picture without transparency. Whoever reads files of a user collects what that
leaves out, to say it:

    with unused.collected() as found:
        ...  # decodes images
    for sentence in found.sentences(): ...

Training reads what was looked at before, and collects nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import numpy as np
from PIL import Image

from ferjax.errors import UserError, some

_FRAMES = "several frames, of which the first is used"
_TRANSPARENCY = "transparent pixels, whose hidden colours are used"


class Unused:
    """What was not used of the images that were decoded."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {_FRAMES: set(), _TRANSPARENCY: set()}

    def look_at(self, file: Image.Image, pixels: Image.Image, where: str) -> None:
        """Notes what an image has and is not used.

        Args:
          file: as Pillow opened it.
          pixels: its first frame, decoded.
          where: what to call it.

        Raises:
          UserError: all of it is transparent, so that nothing of it can be seen.
        """
        # A camera's MPO has a second picture for its own use.
        if file.format != "MPO" and _has_more_frames(file):
            self._names[_FRAMES].add(where)
        if not pixels.has_transparency_data:
            return
        levels = np.asarray(pixels.convert("RGBA").getchannel("A"))
        if not levels.any():
            raise UserError(
                f"{where} is wholly transparent, so that nothing of it can be seen; save it "
                "without its alpha channel, or leave it out."
            )
        if levels.min() < 255:
            self._names[_TRANSPARENCY].add(where)

    def sentences(self) -> tuple[str, ...]:
        """A sentence for each kind that was found, with its number and some names."""
        return tuple(
            f"{len(names):,} image{'s have' if len(names) > 1 else ' has'} {what} ({some(names)})."
            for what, names in self._names.items()
            if names
        )


def _has_more_frames(file: Image.Image) -> bool:
    try:
        return getattr(file, "is_animated", False)
    except Exception:  # as many kinds as formats; what follows the first frame is no frame
        return False


_CURRENT: ContextVar[Unused | None] = ContextVar("unused", default=None)


@contextlib.contextmanager
def collected() -> Iterator[Unused]:
    """Collects inside the block, in this thread."""
    found = Unused()
    token = _CURRENT.set(found)
    try:
        yield found
    finally:
        _CURRENT.reset(token)


def look_at(file: Image.Image, pixels: Image.Image, where: str) -> None:
    """`Unused.look_at` where something is collected; else nothing."""
    found = _CURRENT.get()
    if found is not None:
        found.look_at(file, pixels, where)
