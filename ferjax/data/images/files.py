"""Image files of users, brought to the shape that a model was trained on.

Shape letters: N images, h w c a native shape (see `preprocess.Preprocessing`).
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ferjax import filesystem, local_files, refusals
from ferjax.data import folder_listing
from ferjax.data.images import decoding
from ferjax.errors import UserError, one_line, some

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
# Of what a folder holds and is left out, a sentence names as many.
MAX_NAMED = 5


def find(
    paths: Iterable[str | os.PathLike[str]], on_left_out: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The image files that `paths` name: files as they are, folders searched in sorted order.

    Args:
      paths: of files and folders. Links to files are followed, links to folders are not. A file
        that is named again counts once.
      on_left_out: called with a sentence for each kind of what is left out: files that are named
        again; and of a folder what cannot be read (folders, links that lead nowhere or to folders,
        FIFOs and the like), what is hidden (see `folder_listing`), and other files than images.

    Raises:
      UserError: a path that does not exist or cannot be looked at, or a folder without images.
    """
    files: list[Path] = []
    for path in paths:
        if not os.fspath(path):
            raise UserError("An image is named by ''; expected the path of a file or a folder.")
        place = filesystem.local(path, "an image")
        files += _in_folder(place, on_left_out) if _is_folder(place) else [place]
    once: dict[str, Path] = {}
    for file in files:
        once.setdefault(os.path.abspath(file), file)
    if len(once) < len(files):
        times = Counter(map(os.path.abspath, files))
        repeated = [str(file) for name, file in once.items() if times[name] > 1]
        names = some(repeated, MAX_NAMED)
        on_left_out(f"{len(repeated):,} named more than once, and taken once: {names}.")
    return list(once.values())


def _is_folder(place: Path) -> bool:
    try:
        return stat.S_ISDIR(place.stat().st_mode)
    except FileNotFoundError as error:
        if place.is_symlink():
            raise UserError(
                f"{place} is a link to {os.readlink(place)}, which is not there."
            ) from None
        raise UserError(f"There is no file or folder {place}.") from error
    except OSError as error:
        raise UserError(
            f"{one_line(place)} cannot be looked at ({refusals.problem(error)})."
        ) from None


def _in_folder(folder: Path, on_left_out: Callable[[str], None]) -> list[Path]:
    found: list[Path] = []
    unreadable: list[str] = []
    others: list[str] = []

    def denied(error: OSError) -> None:
        unreadable.append(f"{error.filename} ({refusals.problem(error)})")

    names, folders = folder_listing.below(folder, denied)
    for path in map(folder.joinpath, folder_listing.visible(folders)):
        if path.is_symlink():
            unreadable.append(f"{path} (a link to a folder)")
    for path in map(folder.joinpath, folder_listing.visible(names)):
        if path.suffix.lower() not in EXTENSIONS:
            others.append(str(path))
            continue
        try:
            local_files.check_kind(path)
            found.append(path)
        except OSError as error:
            unreadable.append(f"{path} ({refusals.problem(error)})")
    hidden = [str(folder / name) for name in folder_listing.hidden(names)]
    for left_out, what in (
        (unreadable, "that cannot be read"),
        (hidden, "hidden"),
        (others, "without the name of an image"),
    ):
        if left_out:
            number = f"{len(left_out):,} {what}"
            on_left_out(f"Left out of {one_line(folder)}: {number}: {some(left_out, MAX_NAMED)}.")
    if not found:
        blame = f" that can be read: {one_line(min(unreadable))}" if unreadable else ""
        raise UserError(
            f"The folder {one_line(folder)} has no image in it{blame} (looked for "
            f"{', '.join(EXTENSIONS)})."
        )
    return sorted(found)


def read(path: str | os.PathLike[str], native_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes one image file to uint8 [h, w, c].

    Raises:
      UserError: see `decoding.opened`.
    """
    place = filesystem.local(path, "an image")
    return decoding.fitted(decoding.opened(place, str(path)), native_shape)


def fit_array(image: np.ndarray, native_shape: tuple[int, int, int]) -> np.ndarray:
    """Brings a uint8 array [H, W], [H, W, 1] or [H, W, 3] to uint8 [h, w, c].

    An image that has this shape already is returned as it is, pixel for pixel.

    Raises:
      UserError: another type or shape.
    """
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if image.dtype != np.uint8 or not shaped or not image.size:
        raise UserError(
            f"An image is {image.dtype} of shape {image.shape}; expected uint8 of shape [H, W], "
            "[H, W, 1] or [H, W, 3] with grey levels 0..255."
        )
    if image.shape == native_shape:
        return image
    planes = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    return decoding.fitted(Image.fromarray(planes), native_shape)
