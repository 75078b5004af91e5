"""Near duplicates: images that are the same picture, mirrored, brighter, compressed or shifted.

Two steps. Perceptual hashes (ImageHash: the signs of the 8 x 8 lowest frequencies) propose pairs:
at 64 bits an image, all pairs of some ten thousand images can be looked at. Pixels confirm them:
the hashes of aligned faces are alike by chance, their details are not (see `resemblance`).

Frequencies depend on position: a shift by 2 of 48 pixels changes as many bits as another face does.
Therefore the hash is taken from the middle of one image, and compared with the hashes of windows of
the other one 2 pixels higher, lower, further left or right: one of them is the same window of the
picture, and none contains the pixels that the shift added at the edge.

Measured by `python -m tests.helpers.planted`: of copies that were mirrored, 10 % brighter or
darker, compressed as JPEG of quality 50, or shifted by 2 pixels along one axis or both, and of
copies that were all of these, 100 % are found, each kind among 500 of 6,000 synthetic faces and
among 250 of 5,673 images of FER2013. Of the pairs with a copy 99.996 and 99.98 % are right; of the
18 million pairs of synthetic faces without copies, which show different persons, 15 are found. In
all of FER2013 it finds 3,593 pairs; 160 of the least similar ones were looked at, and each shows
one photograph twice.

The cost grows with the square of the number of images. Shape letters: N images, S side of a small
grey copy, P pairs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8, UInt64

from ferjax.data.audit import resemblance, window_hashes
from ferjax.data.audit.window_hashes import Window

# Out of 64 bits. Copies in FER2013 differ in at most 8; one in 10,000 pairs of unrelated faces
# differs in at most 10.
MAX_DISTANCE = 10

# Copies of FER2013 and of synthetic faces have at least 0.86. Unrelated faces that the hash
# proposes have at most 0.7 in FER2013; among synthetic faces, which are smoother, one pair in some
# million has 0.82.
MIN_SIMILARITY = 0.82

# In grey levels of standard deviation; below it compression changes as much as the picture shows.
MIN_CONTRAST = 2.0

# A shift covers the opposite shift, too: the window of either image of a pair may move. If one
# image is mirrored, this is true only for up and down, and all windows are needed.
_STEP = 2
_MIDDLE: Window = (0, 0, False)
_STRAIGHT: tuple[Window, ...] = (
    _MIDDLE,
    (0, _STEP, False),
    (_STEP, 0, False),
    (_STEP, _STEP, False),
    (_STEP, -_STEP, False),
)
_ALL: tuple[Window, ...] = (*_STRAIGHT, (0, -_STEP, False))
_MIRRORED: Window = (0, 0, True)

# The hash of every image, by window.
Hashes = Mapping[Window, np.ndarray]

# Hashes are compared in blocks that stay in the cache of a core.
_ROWS, _COLUMNS = 16, 8192

# Rows that one thread searches at a time, so that there is much to confirm at once.
_TASK = 256

# Facts of pairs: arrays of the same length.
Columns = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Pairs:
    """P pairs of near duplicates among N images, in the order of their numbers.

    Attributes:
      first: int64 [P], the smaller number of each pair.
      second: int64 [P], the larger one.
      mirrored: bool [P], whether one is the mirror image of the other.
      distance: uint8 [P], bits in which the hashes differ.
      similarity: float32 [P], from `MIN_SIMILARITY` to 1.
      num_left_out: how many images have too little contrast to be compared.
    """

    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray
    distance: np.ndarray
    similarity: np.ndarray
    num_left_out: int

    def __len__(self) -> int:
        return len(self.first)


def find(greys: UInt8[np.ndarray, "N S S"], on_image: Callable[[], None] = lambda: None) -> Pairs:
    """Finds all pairs of near duplicates.

    Args:
      greys: small grey copies of distinct images (see `image_scan`).
      on_image: called twice for each image.
    """
    used = np.flatnonzero(greys.std((1, 2), dtype=np.float32) >= MIN_CONTRAST)
    for _ in range(2 * (len(greys) - len(used))):
        on_image()
    chosen = greys[used]
    windows = (*_ALL, _MIRRORED)
    columns_of = window_hashes.window_hashes(chosen, windows, _STEP, on_image).T
    hashes = dict(zip(windows, columns_of.copy(), strict=True))
    details = resemblance.details(chosen)

    def search(start: int) -> tuple[int, Columns]:
        stop = min(start + _TASK, len(used))
        proposed = [
            _propose(hashes, top, min(top + _ROWS, stop), mirror)
            for top in range(start, stop, _ROWS)
            for mirror in (False, True)
        ]
        return stop - start, _confirm(_joined(proposed), details)

    found: list[Columns] = [(np.empty(0, np.int64),) * 5]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, some in pool.map(search, range(0, len(used), _TASK)):
            found.append(some)
            for _ in range(done):
                on_image()
    first, second, mirrored, distance, similarity = _joined(found)
    # A face that is its own mirror image is found both ways; the better one counts.
    order = np.lexsort((-similarity, second, first))
    pair = np.stack([first, second], 1)[order]
    kept = order[np.flatnonzero(np.diff(pair, axis=0, prepend=-1).any(1))]
    return Pairs(
        first=used[first[kept].astype(np.int64)],
        second=used[second[kept].astype(np.int64)],
        mirrored=mirrored[kept].astype(bool),
        distance=distance[kept].astype(np.uint8),
        similarity=similarity[kept].astype(np.float32),
        num_left_out=len(greys) - len(used),
    )


def _propose(hashes: Hashes, start: int, stop: int, mirror: bool) -> Columns:
    """Pairs (first, second, mirrored, distance), one of them in a range and not seen before it."""
    base = hashes[_MIRRORED if mirror else _MIDDLE]
    windows = [hashes[window] for window in (_ALL if mirror else _STRAIGHT)]
    some, others, distances = [], [], []
    for left in range(0, len(base), _COLUMNS):
        columns = slice(left, left + _COLUMNS)
        best = _distances(base[start:stop, None], [window[None, columns] for window in windows])
        row, column = np.nonzero(best <= MAX_DISTANCE)
        some.append(start + row)
        others.append(left + column)
        distances.append(best[row, column])
    one, other, distance = map(np.concatenate, (some, others, distances))
    # The same pair, with the other one's window moving, may have been in the range of the other.
    back = _distances(base[other], [window[one] for window in windows])
    new = (one < other) | ((one > other) & (back > MAX_DISTANCE))
    one, other, distance = one[new], other[new], distance[new]
    pair = np.sort(np.stack([one, other]), axis=0)
    return pair[0], pair[1], np.full(len(one), mirror), distance


def _distances(base: UInt64[np.ndarray, "..."], windows: list[np.ndarray]) -> np.ndarray:
    """The fewest bits in which hashes differ from the hashes of any window."""
    shape = np.broadcast_shapes(base.shape, windows[0].shape)
    different = np.empty(shape, np.uint64)
    count, best = np.empty(shape, np.uint8), np.full(shape, 64, np.uint8)
    for window in windows:
        np.bitwise_xor(base, window, out=different)
        np.bitwise_count(different, out=count)
        np.minimum(best, count, out=best)
    return best


def _confirm(proposed: Columns, details: np.ndarray) -> Columns:
    """The proposed pairs whose pixels agree, with their similarity."""
    first, second, mirrored, distance = proposed
    similarity = np.empty(len(first), np.float32)
    for start in range(0, len(first), _TASK):
        where = slice(start, start + _TASK)
        some = details[first[where]]
        some = np.where(mirrored[where, None, None], some[:, :, ::-1], some)
        similarity[where] = resemblance.similarity(some, details[second[where]])
    sure = similarity >= MIN_SIMILARITY
    return first[sure], second[sure], mirrored[sure], distance[sure], similarity[sure]


def _joined(parts: Sequence[Columns]) -> Columns:
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
