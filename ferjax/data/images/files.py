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
from ferjax.data.images import decoding, kinds, remarks
from ferjax.errors import UserError, one_line, some

# Of what a folder holds and is left out, a sentence names as many.
MAX_NAMED = 5


def find(
    paths: Iterable[str | os.PathLike[str]], on_left_out: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """The image files that `paths` name: files as they are, folders searched in sorted order.

    In a folder an image is told by its first bytes (see `kinds`). What has the name of an image and
    cannot be read as one is found, too, so that whoever reads it is told; so is, among several
    paths, one that does not exist.

    Args:
      paths: of files and folders. Links to files are followed, links to folders are not. A file
        that is named again counts once.
      on_left_out: called with a sentence for each kind of what is left out: files that are named
        again; and of a folder what cannot be read and is not named as an image (folders, links to
        folders, FIFOs and the like), what is hidden (see `folder_listing`), and other files.

    Raises:
      UserError: the only path does not exist or cannot be looked at; or no image is found.
    """
    files: list[Path] = []
    empty: list[UserError] = []
    given = list(paths)
    for path in given:
        if not os.fspath(path):
            raise UserError("An image is named by ''; expected the path of a file or a folder.")
        place = filesystem.local(path, "an image")
        try:
            is_folder = _is_folder(place)
        except UserError:
            if len(given) == 1:
                raise
            is_folder = False
        if not is_folder:
            files.append(place)
            continue
        try:
            files += _in_folder(place, on_left_out)
        except UserError as error:
            empty.append(error)
    if not files and empty:
        raise empty[0]
    for nothing in empty:
        on_left_out(str(nothing))
    once: dict[str, Path] = {}
    for file in files:
        once.setdefault(os.path.abspath(file), file)
    if len(once) < len(files):
        times = Counter(map(os.path.abspath, files))
        repeated = [str(file) for name, file in once.items() if times[name] > 1]
        names = some(repeated, MAX_NAMED)
        on_left_out(f"{len(repeated):,} named more than once, and taken once ({names}).")
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
    others: dict[kinds.Kind, list[str]] = {}

    def denied(error: OSError) -> None:
        unreadable.append(f"{error.filename} ({refusals.problem(error)})")

    names, folders = folder_listing.below(folder, denied)
    for path in map(folder.joinpath, folder_listing.visible(folders)):
        if path.is_symlink():
            unreadable.append(f"{path} (a link to a folder)")
    for path in map(folder.joinpath, folder_listing.visible(names)):
        try:
            kind = _kind(path)
        except OSError as error:
            unreadable.append(f"{path} ({refusals.problem(error)})")
            continue
        if kind is None or kind.is_image or path.suffix.lower() in kinds.EXTENSIONS:
            found.append(path)
        else:
            others.setdefault(kind, []).append(str(path))
    hidden = [str(folder / name) for name in folder_listing.hidden(names)]
    groups = [
        (unreadable, f"{len(unreadable):,} that cannot be read", ""),
        (hidden, f"{len(hidden):,} hidden", ""),
        *((files, kind.counted(len(files)), kind.advice) for kind, files in others.items()),
    ]
    for left_out, what, advice in groups:
        if left_out:
            fix = f" {advice[0].upper()}{advice[1:]}." if advice else ""
            on_left_out(
                f"Left out of {one_line(folder)}: {what} ({some(left_out, MAX_NAMED)}).{fix}"
            )
    if not found:
        blame = f" that can be read: {one_line(min(unreadable))}" if unreadable else ""
        raise UserError(
            f"The folder {one_line(folder)} has no image in it{blame}; expected JPEG, PNG or "
            "another common format."
        )
    return sorted(found)


def _kind(path: Path) -> kinds.Kind | None:
    """What a file is; None for what is named as an image and cannot be read.

    Raises:
      OSError: something else cannot be read, or is no regular file.
    """
    try:
        with local_files.open_regular(path) as file:
            return kinds.of(file.read(kinds.HEAD_BYTES))
    except OSError:
        if path.suffix.lower() in kinds.EXTENSIONS:
            return None
        raise


def read(path: str | os.PathLike[str], native_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes one image file to uint8 [h, w, c]; raises as `opened` does."""
    return fit(opened(path), native_shape, one_line(path))


def opened(path: str | os.PathLike[str]) -> Image.Image:
    """Decodes one image file, upright.

    Raises:
      UserError: see `decoding.opened`.
    """
    return decoding.opened(filesystem.local(path, "an image"), str(path))


def fit_pillow(
    image: Image.Image, native_shape: tuple[int, int, int], where: str = "The image"
) -> np.ndarray:
    """Brings an image of Pillow to uint8 [h, w, c]; raises a UserError as `read` does."""
    return fit(decoding.seen(image, where), native_shape, where)


def fit_array(
    image: np.ndarray, native_shape: tuple[int, int, int], where: str = "An image"
) -> np.ndarray:
    """Brings a uint8 array [H, W], [H, W, 1] or [H, W, 3] to uint8 [h, w, c].

    An image that has this shape already is returned as it is, pixel for pixel, and no remark is
    made on it (see `remarks`): whoever gives such arrays knows what the model sees.

    Raises:
      UserError: another type or shape; `where` is what the message calls it.
    """
    made = of_array(image, where)
    return image if image.shape == native_shape else fit(made, native_shape, where)


def of_array(image: np.ndarray, where: str) -> Image.Image:
    """The image of Pillow with the pixels of an array; raises as `fit_array` does."""
    shaped = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3))
    if image.dtype != np.uint8 or not shaped or not image.size:
        raise UserError(
            f"{where} is {image.dtype} of shape {image.shape}; expected uint8 of shape [H, W], "
            f"[H, W, 1] or [H, W, 3] with grey levels 0..255.{_fix(image)}"
        )
    return Image.fromarray(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image)


def fit(image: Image.Image, native_shape: tuple[int, int, int], where: str) -> np.ndarray:
    """Brings a decoded image to uint8 [h, w, c]; makes remarks as on the crop of a face."""
    fitted = decoding.fitted(image, native_shape)
    remarks.look_at_crop(image.size, fitted, where)
    return fitted


def _fix(image: np.ndarray) -> str:
    """What makes an array one that is taken, as a sentence; "" where it is not known."""
    if image.dtype == object:
        return " None stands for a file that could not be read, as cv2.imread returns it."
    if image.ndim not in (2, 3) or not image.size:
        return ""
    if image.ndim == 3 and image.shape[2] == 4:
        return " Leave out the fourth channel, as image[..., :3] does."
    if image.ndim == 3 and image.shape[2] not in (1, 3) and image.shape[0] in (1, 3):
        return " Its channels come first: image.transpose(1, 2, 0) puts them last."
    if image.dtype == bool:
        return " For True as white, give image.astype('uint8') * 255."
    if image.dtype.kind not in "fiu" or image.dtype == np.uint8:
        return ""
    if not np.isfinite(image).all():
        return " Some of its values are no numbers (NaN) or infinite."
    if image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1:
        return " For 0 to 1 as black to white, give (255 * image).round().astype('uint8')."
    if image.min() >= 0 and image.max() <= 255:
        return " Its values are such levels already: give image.astype('uint8')."
    if image.dtype == np.uint16:
        return " For 65535 as white, give (image // 257).astype('uint8')."
    return ""
