"""All splits of a data set as one numbered list, and which of its images are the same.

Rows number the examples of all splits, split after split, each in the order of `Source.load`.
Contents number the distinct images by their first row. Shape letters: M rows, D distinct images,
B some of either, H W C image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from ferjax.data.examples import Examples


class Pool:
    """The examples of several splits; indexed by rows it gives their images (see `Images`).

    Args:
      splits: the examples of each split, with their pixel hashes.

    Attributes:
      splits: the names of the splits, in the order given.
      split: int8 [M], index into `splits`.
      position: int64 [M], where the example is in its split.
      labels: int32 [M].
      keys: M names, each unique within its split.
      subjects: M names of the persons shown, "" where the data set does not say.
      content: int64 [M], which distinct image each row shows.
      first: int64 [D], the first row that shows each distinct image.

    Raises:
      ValueError: a split without pixel hashes, or images of different shapes.
    """

    dtype = np.uint8

    def __init__(self, splits: Mapping[str, Examples]):
        self._images = [examples.images for examples in splits.values()]
        shapes = {images.shape[1:] for images in self._images}
        if len(shapes) != 1:
            raise ValueError(f"the splits must have images of one shape, not {sorted(shapes)}")
        self._image_shape = shapes.pop()
        self.splits = tuple(splits)
        sizes = [len(examples) for examples in splits.values()]
        self.split = np.repeat(np.arange(len(sizes), dtype=np.int8), sizes)
        self.position = np.concatenate([np.arange(size, dtype=np.int64) for size in sizes])
        self.labels = np.concatenate([examples.labels for examples in splits.values()])
        self.keys = tuple(key for examples in splits.values() for key in examples.keys)
        self.subjects = tuple(
            subject
            for examples in splits.values()
            for subject in examples.subjects or ("",) * len(examples)
        )
        hashes = [one for examples in splits.values() for one in examples.pixel_hashes]
        if len(hashes) != len(self.keys):
            raise ValueError("every split must have the hashes of its pixels")
        numbers: dict[bytes, int] = {}
        self.content = np.array([numbers.setdefault(one, len(numbers)) for one in hashes], np.int64)
        self.first = np.unique(self.content, return_index=True)[1].astype(np.int64)
        order = np.argsort(self.content, kind="stable")
        self._copies = np.split(
            order, np.searchsorted(self.content[order], np.arange(1, self.num_distinct))
        )

    @property
    def num_distinct(self) -> int:
        """D."""
        return len(self.first)

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, H, W, C)."""
        return (len(self), *self._image_shape)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: Any, /) -> UInt8[np.ndarray, "B H W C"]:
        split, position = self.split[rows], self.position[rows]
        out = np.empty((len(position), *self._image_shape), np.uint8)
        for number, images in enumerate(self._images):
            chosen = np.flatnonzero(split == number)
            if len(chosen):
                out[chosen] = images[position[chosen]]
        return out

    def copies(self, content: int | np.integer) -> Int[np.ndarray, " B"]:
        """The rows that show a distinct image, in order."""
        return self._copies[int(content)]
