"""Images of users one by one, read ahead by threads while the model computes.

Shapes: h w c the native shape of a model (see `preprocess.Preprocessing`).
"""

from __future__ import annotations

import functools
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from ferjax.data.images import decoding, files, remarks
from ferjax.errors import UserError, one_line

# Threads that decode; each may hold a large photograph.
MOST_THREADS = 8
# The longer side of a photograph that faces are cut from: the smallest one that is looked for is a
# fortieth of it, about as large as training images are.
PHOTO_SIDE = 2048

_R = TypeVar("_R")


class Photo(NamedTuple):
    """A photograph in which faces are to be looked for.

    Attributes:
      image: RGB, of at most `PHOTO_SIDE` pixels a side.
      scale: how many times the sides of the file are as long.
    """

    image: Image.Image
    scale: float


class Read(NamedTuple):
    """An image that was read, or why it was not.

    Attributes:
      name: the path of a file, else "image 3" by its position.
      pixels: of a crop, uint8 [h, w, c]; None if it could not be read, or is a photograph.
      problem: the sentence about an image that could not be read; else "".
      remarks: what is worth saying about it (see `remarks`).
      photo: the photograph, if it is taken for one.
    """

    name: str
    pixels: np.ndarray | None
    problem: str
    remarks: tuple[str, ...]
    photo: Photo | None = None


def each(images: Any, native_shape: tuple[int, int, int]) -> Iterable[Any]:
    """What a user gives as images, as an iterable of them.

    Raises:
      UserError: it is nothing of the kind, or it is not known whether it is one image or many.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if hasattr(images, "__array__"):  # of NumPy, JAX or another library
        images = _as_array(images, "The images")
        if images.ndim == 3 and images.shape[-1] in (2, 4) and images.shape[1:] != native_shape[:2]:
            raise UserError(
                f"The images have the shape {images.shape}: leave out the transparency of one "
                "image, as image[..., :3] does, or give a batch of grey images as [N, H, W, 1]."
            )
        if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (1, 3)):
            return images[None]
        if images.ndim == 3 and len(images) == 3:
            warnings.warn(
                f"An array of shape {images.shape} is taken for 3 grey images. If its channels "
                "come first, give one image as image.transpose(1, 2, 0).",
                stacklevel=5,
            )
    no_images = (
        isinstance(images, bytes | bytearray | memoryview)
        or hasattr(images, "read")
        or not isinstance(images, Iterable)
        or (isinstance(images, np.ndarray) and images.ndim == 0)
    )
    if no_images:
        raise UserError(
            f"The images are {type(images).__name__}; expected paths, uint8 arrays, images of "
            f"Pillow, or an iterable of them.{fix_of(images)}"
        )
    return images


def never(size: tuple[int, int]) -> bool:
    """Takes no image for a photograph."""
    return False


def in_order(
    images: Iterable[Any],
    native_shape: tuple[int, int, int],
    *,
    ahead: int,
    is_photo: Callable[[tuple[int, int]], bool] = never,
) -> Iterator[Read]:
    """Reads images: paths, arrays, or images of Pillow.

    Args:
      images: any number, asked for as they are needed. One that is no path may change when the
        next one is asked for, as the frames of a video or of Pillow's ImageSequence do.
      native_shape: (h, w, c) to which each crop is brought.
      ahead: how many may be read before they are asked for; 0 reads each when it is asked for.
      is_photo: whether an image of a width and height is a photograph, and no crop.
    """
    one = functools.partial(_one, native_shape=native_shape, is_photo=is_photo)
    if not ahead:
        return map(one, enumerate(images))
    works = (
        functools.partial(one, numbered)
        if isinstance(numbered[1], str | os.PathLike)
        else _done(one(numbered))
        for numbered in enumerate(images)
    )
    return _ahead(works, ahead)


def _done(read: Read) -> Callable[[], Read]:
    """What gives an image that was read, whose pixels are nobody else's."""
    if read.pixels is not None:
        read = read._replace(pixels=read.pixels.copy())
    return lambda: read


def _one(
    numbered: tuple[int, Any],
    native_shape: tuple[int, int, int],
    is_photo: Callable[[tuple[int, int]], bool],
) -> Read:
    number, image = numbered
    name = os.fspath(image) if isinstance(image, str | os.PathLike) else f"image {number}"
    with remarks.collected() as found:
        try:
            decoded = _decoded(image, name)
            if is_photo(decoded.size):
                return Read(name, None, "", found.kinds(), _photo(decoded))
            if getattr(image, "shape", None) == native_shape:
                pixels = np.asarray(image)  # as it is; no remark is made on it
            else:
                pixels = files.fit(decoded, native_shape, name)
        except UserError as error:
            return Read(name, None, str(error), ())
    return Read(name, pixels, "", found.kinds())


def _decoded(image: Any, name: str) -> Image.Image:
    if isinstance(image, str | os.PathLike):
        return files.opened(image)
    if isinstance(image, Image.Image):
        return decoding.seen(image, name)
    if fix := fix_of(image):
        raise UserError(f"{name} is {type(image).__name__}, and no image.{fix}")
    return files.of_array(_as_array(image, name), name)


def _as_array(image: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(image)
    except Exception as error:  # of whatever library made it, as of a tensor with a gradient
        raise UserError(
            f"{name} is {type(image).__name__}, which gives no array ({one_line(error)})."
        ) from None


def _photo(image: Image.Image) -> Photo:
    """A copy in colour, no larger than it is needed."""
    longest = max(image.size)
    if longest <= PHOTO_SIDE:
        return Photo(image.convert("RGB"), 1.0)
    width, height = (max(1, round(side * PHOTO_SIDE / longest)) for side in image.size)
    smaller = image.convert("RGB").resize(
        (width, height), Image.Resampling.BILINEAR, reducing_gap=3
    )
    return Photo(smaller, longest / PHOTO_SIDE)


def fix_of(image: Any) -> str:
    """What makes an image of what is often given as one, as a sentence; "" for anything else."""
    if image is None:
        return " cv2.imread returns None for a file that it cannot read: check its path."
    if isinstance(image, bytes | bytearray | memoryview):
        return " The bytes of a file are opened by PIL.Image.open(io.BytesIO(data))."
    if hasattr(image, "read") and not hasattr(image, "__array__"):
        return " Give the path of the file, or PIL.Image.open(file)."
    return ""


def _ahead(works: Iterable[Callable[[], _R]], ahead: int) -> Iterator[_R]:
    """Results in order, by threads, at most `ahead` of them before the one that is asked for."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        waiting: deque[Future[_R]] = deque()
        try:
            for work in works:
                waiting.append(pool.submit(work))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
