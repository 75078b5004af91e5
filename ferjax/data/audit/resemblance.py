"""How much two small grey images look like the same picture, pixel by pixel.

What is compared is the detail that survives compression and a change of brightness: a band of
frequencies, coarser than noise and blocks of JPEG, finer than light and shade, which all faces
share. Shape letters: N images, S side of an image, B pairs.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int8, UInt8
from scipy import ndimage

# The band is the difference of two Gaussian blurs, of these standard deviations in pixels.
_FINE, _COARSE = 0.7, 2.0

# All shifts up to this many pixels are tried; what comes in at the edge of one is never looked at.
REACH = 3

# The band is so smooth that every second pixel is enough.
_STRIDE = 2

# Steps of int8 for one standard deviation of a band; 4 of them fit.
_STEPS = 31.0

_CHUNK = 1024


def details(greys: UInt8[np.ndarray, "N S S"]) -> Int8[np.ndarray, "N S S"]:
    """The band of each image, scaled to the same strength for all; 0 for a flat image."""
    found = np.empty(greys.shape, np.int8)
    for start in range(0, len(greys), _CHUNK):
        pixels = greys[start : start + _CHUNK].astype(np.float32)
        band = _blur(pixels, _FINE) - _blur(pixels, _COARSE)
        strength = band.std((1, 2), keepdims=True)
        steps = band * (_STEPS / np.maximum(strength, 1e-3))
        found[start : start + _CHUNK] = np.clip(np.round(steps), -127, 127)
    return found


def similarity(
    some: Int8[np.ndarray, "B S S"], others: Int8[np.ndarray, "B S S"]
) -> Float32[np.ndarray, " B"]:
    """The cosine of the middles of two bands, at the shift where it is largest.

    Args:
      some: bands from `details`.
      others: the bands to compare them with, one by one.

    Returns:
      From -1 to 1; 1 for the same picture, whatever its brightness and contrast; 0 where there is
      nothing to compare.
    """
    length = some.shape[1] - 2 * REACH

    def window(bands: np.ndarray, down: int, right: int) -> np.ndarray:
        rows = slice(REACH + down, REACH + down + length, _STRIDE)
        columns = slice(REACH + right, REACH + right + length, _STRIDE)
        return bands[:, rows, columns].reshape(len(bands), -1)

    one, other = some.astype(np.float32), others.astype(np.float32)
    middle = window(one, 0, 0)
    best = np.full(len(one), -1.0, np.float32)
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            moved = window(other, down, right)
            product = np.einsum("bi,bi->b", middle, moved)
            power = np.einsum("bi,bi->b", moved, moved)
            np.maximum(best, product / np.sqrt(np.maximum(power, 1.0)), out=best)
    power = np.einsum("bi,bi->b", middle, middle)
    return best / np.sqrt(np.maximum(power, 1.0))


def _blur(pixels: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(pixels, (0, sigma, sigma), mode="nearest", truncate=3.0)
