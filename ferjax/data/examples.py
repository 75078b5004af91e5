"""Labelled images of one split, for training; the pixels in memory or read when indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Images(Protocol):
    """N images that are indexed by an integer array: an ndarray, or `records.RecordImages`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, indices: Any, /) -> np.ndarray:
        """uint8 [B, H, W, C] for B indices or a slice."""


@dataclass(frozen=True)
class Examples:
    """N labelled images of one split.

    Attributes:
      images: uint8 [N, H, W, C], the raw pixels.
      labels: int32 [N], indices into the names of the label space.
      keys: N names, unique within the split; each tells where its image came from.
      pixel_hashes: N times the SHA-256 of an image's shape and pixels, 32 bytes; () if they were
        not stored.
      subjects: N names of the persons shown; () if they are not known.
      targets: float32 [N, K], a distribution over the classes for each example, if training uses
        one instead of the labels; None otherwise.
    """

    images: Images
    labels: np.ndarray
    keys: tuple[str, ...]
    pixel_hashes: tuple[bytes, ...] = ()
    subjects: tuple[str, ...] = ()
    targets: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.images.shape
        if len(shape) != 4 or getattr(self.images, "dtype", np.uint8) != np.uint8:
            raise TypeError(f"images must be uint8 [N, H, W, C], not of shape {shape}")
        if self.labels.dtype != np.int32 or self.labels.shape != shape[:1]:
            raise TypeError(
                f"labels must be int32 [{shape[0]}], not {self.labels.dtype} {self.labels.shape}"
            )
        lengths = {len(self.keys), *map(len, filter(None, (self.pixel_hashes, self.subjects)))}
        if self.targets is not None:
            lengths.add(len(self.targets))
        if lengths != {shape[0]}:
            raise TypeError(f"{sorted(lengths)} keys, hashes, subjects, for {shape[0]} images")

    def __len__(self) -> int:
        return len(self.keys)

    def counts(self, num_classes: int) -> tuple[int, ...]:
        """How many examples each of the `num_classes` classes has, in the order of the labels."""
        return tuple(np.bincount(self.labels, minlength=num_classes).tolist())
