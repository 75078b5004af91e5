"""Perceptual hashes of windows of small grey images, by all processors.

Shape letters: N images, S side of an image, W windows.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

import imagehash
import numpy as np
from jaxtyping import UInt8, UInt64
from PIL import Image

# How far down and to the right of the middle a window is, and whether it is mirrored then.
Window = tuple[int, int, bool]

_BLOCK = 512
# Below this many images the processes take longer to start than to hash.
_WORTH_PROCESSES = 8 * _BLOCK
_MAX_PROCESSES = 8


def window_hashes(
    greys: UInt8[np.ndarray, "N S S"],
    windows: Sequence[Window],
    margin: int,
    on_image: Callable[[], None] = lambda: None,
) -> UInt64[np.ndarray, "N W"]:
    """The hash of each window of each image: `imagehash.phash` of 8 x 8 frequencies.

    Many images are hashed by several processes, which are started for it: a hash is mostly Python,
    so that threads would wait for each other.

    Args:
      greys: the images.
      windows: each reaches from `margin` to S - `margin`, moved; none may reach out of the image.
      margin: in pixels.
      on_image: called after each image.
    """
    blocks = [greys[start : start + _BLOCK] for start in range(0, len(greys), _BLOCK)]
    found: list[np.ndarray] = [np.empty((0, len(windows)), np.uint64)]

    def collect(results: Iterable[np.ndarray]) -> np.ndarray:
        for hashes in results:
            found.append(hashes)
            for _ in hashes:
                on_image()
        return np.concatenate(found)

    same = ([windows] * len(blocks), [margin] * len(blocks))
    if len(greys) < _WORTH_PROCESSES:
        return collect(map(hash_block, blocks, *same))
    # Not forked: this process has threads, which a fork does not survive.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(_MAX_PROCESSES, os.cpu_count() or 1), mp_context=context) as pool:
        return collect(pool.map(hash_block, blocks, *same))


def hash_block(
    greys: UInt8[np.ndarray, "N S S"], windows: Sequence[Window], margin: int
) -> UInt64[np.ndarray, "N W"]:
    """The part of `window_hashes` that one process computes."""
    size = greys.shape[1] - 2 * margin
    hashes = np.empty((len(greys), len(windows)), np.uint64)
    for row, grey in zip(hashes, greys, strict=True):
        picture = Image.fromarray(grey)
        for number, (down, right, mirrored) in enumerate(windows):
            left, top = margin + right, margin + down
            window = picture.crop((left, top, left + size, top + size))
            if mirrored:
                window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            # Twice the 8 frequencies are enough: a window is hardly larger than that.
            row[number] = np.packbits(imagehash.phash(window, 8, 2).hash).view(np.uint64)[0]
    return hashes
