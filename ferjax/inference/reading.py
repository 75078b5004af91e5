"""Images of users one by one, read ahead by threads while the model computes.

Shapes: h w c the native shape of a model (see `preprocess.Preprocessing`).
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image

from ferjax.data.images import files, remarks
from ferjax.errors import UserError

# Threads that decode; each may hold a large photograph.
MOST_THREADS = 8

_T = TypeVar("_T")
_R = TypeVar("_R")


class Read(NamedTuple):
    """An image that was read, or why it was not.

    Attributes:
      name: the path of a file, else "image 3" by its position.
      pixels: uint8 [h, w, c]; None if it could not be read.
      problem: the sentence about an image that could not be read; else "".
      remarks: what is worth saying about it (see `remarks`).
    """

    name: str
    pixels: np.ndarray | None
    problem: str
    remarks: tuple[str, ...]


def in_order(
    images: Iterable[Any], native_shape: tuple[int, int, int], *, ahead: int
) -> Iterator[Read]:
    """Reads images: paths, arrays, or images of Pillow.

    Args:
      images: any number, asked for as they are needed.
      native_shape: (h, w, c) to which each is brought.
      ahead: how many may be read before they are asked for; 0 reads each when it is asked for.
    """
    one = functools.partial(_one, native_shape=native_shape)
    return _mapped_ahead(one, enumerate(images), ahead) if ahead else map(one, enumerate(images))


def _one(numbered: tuple[int, Any], native_shape: tuple[int, int, int]) -> Read:
    number, image = numbered
    is_path = isinstance(image, str | os.PathLike)
    name = os.fspath(image) if is_path else f"image {number}"
    with remarks.collected() as found:
        try:
            if is_path:
                pixels = files.read(image, native_shape)
            elif isinstance(image, Image.Image):
                pixels = files.fit_pillow(image, native_shape, name)
            else:
                pixels = files.fit_array(np.asarray(image), native_shape, name)
        except UserError as error:
            return Read(name, None, str(error), ())
    return Read(name, pixels, "", found.kinds())


def _mapped_ahead(function: Callable[[_T], _R], items: Iterable[_T], ahead: int) -> Iterator[_R]:
    """`map` by threads, in order, at most `ahead` results before the one that is asked for."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        waiting: deque[Future[_R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
