"""Labelled images in memory, as readers make them and training takes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Examples:
    """N labelled images of one split.

    Attributes:
      images: uint8 [N, H, W, C], the raw pixels.
      labels: int32 [N], indices into the names of the label space.
      keys: N names, unique within the split, that say where each image came from.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise TypeError(
                f"images must be uint8 [N, H, W, C], not {self.images.dtype} {self.images.shape}"
            )
        if self.labels.dtype != np.int32 or self.labels.shape != self.images.shape[:1]:
            raise TypeError(
                f"labels must be int32 [{len(self.images)}], not {self.labels.dtype} "
                f"{self.labels.shape}"
            )
        if len(self.keys) != len(self.images):
            raise TypeError(f"{len(self.keys)} keys for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.keys)

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """How many examples each of the `num_classes` classes has, in the order of the labels."""
        return tuple(np.bincount(self.labels, minlength=num_classes).tolist())


def concatenate(parts: Sequence[Examples]) -> Examples:
    """The examples of several splits, one split after the other."""
    if len(parts) == 1:
        return parts[0]
    return Examples(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        tuple(f"{index}/{key}" for index, part in enumerate(parts) for key in part.keys),
    )
