"""Images of one data set in the shape of another's, fitted like a user's image in prediction.

Shape letters: N images, B of them, h w c the wanted shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from ferjax.data.examples import Images
from ferjax.data.images import files


class FittedImages:
    """Some of `images`, each brought to `native_shape` when it is indexed.

    Args:
      images: images of any shape.
      positions: the positions of the chosen images, in this order.
      native_shape: (h, w, c) that a model was trained on, before its own preprocessing.
    """

    dtype = np.uint8

    def __init__(
        self,
        images: Images,
        positions: Int[np.ndarray, " N"],
        native_shape: tuple[int, int, int],
    ):
        self._images, self._positions, self._native_shape = images, positions, native_shape

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, h, w, c)."""
        return (len(self), *self._native_shape)

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, indices: Any, /) -> UInt8[np.ndarray, "B h w c"]:
        """The images at an array of indices or a slice."""
        images = self._images[self._positions[indices]]
        return np.stack([files.fit_array(image, self._native_shape) for image in images])
