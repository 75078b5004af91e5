"""Collects examples that a reader finds one by one into arrays by split."""

import numpy as np

from ferjax.data.examples import Examples
from ferjax.errors import UserError


class Collector:
    """Examples of equal image shape, by split.

    Args:
      splits: the names of the splits.
      image_shape: (H, W, C) of every image.
    """

    def __init__(self, splits: tuple[str, ...], image_shape: tuple[int, int, int]):
        self._image_shape = image_shape
        self._pixels: dict[str, list[bytes]] = {split: [] for split in splits}
        self._labels: dict[str, list[int]] = {split: [] for split in splits}
        # A dict for its order and for the question whether a key is already there.
        self._keys: dict[str, dict[str, None]] = {split: {} for split in splits}

    def add(self, split: str, label: int, pixels: bytes, key: str) -> None:
        """Adds one example; `pixels` are its H*W*C uint8 values in row-major order.

        Raises:
          UserError: `key` is already there, for example because an archive holds the data twice.
        """
        if key in self._keys[split]:
            raise UserError(f"{key} occurs twice: the source must hold the data set once.")
        self._pixels[split].append(pixels)
        self._labels[split].append(label)
        self._keys[split][key] = None

    def examples(self) -> dict[str, Examples]:
        """What was added, in that order."""
        return {
            split: Examples(
                images=np.frombuffer(b"".join(self._pixels[split]), dtype=np.uint8).reshape(
                    -1, *self._image_shape
                ),
                labels=np.array(self._labels[split], dtype=np.int32),
                keys=tuple(self._keys[split]),
            )
            for split in self._keys
        }
