"""A face with what a model looked at laid over it, as pixels."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

_MAP = "inferno"
_STRENGTH = 0.55


def overlay(
    image: Float[np.ndarray, "H W C"], heat: Float[np.ndarray, "h w"], at_first_pixel: bool
) -> UInt8[np.ndarray, "H W 3"]:
    """The image in grey with a map over it.

    Args:
      image: grey levels 0..255, grey or RGB.
      heat: 0 for nothing, 1 for the most.
      at_first_pixel: where the places of the map lie; see `grown`.
    """
    grey = image.mean(axis=2, keepdims=True) / 255.0
    laid = np.clip(grown(heat, image.shape[:2], at_first_pixel), 0, 1)
    color = matplotlib.colormaps[_MAP](laid)[..., :3]
    mixed = (1 - _STRENGTH) * grey + _STRENGTH * color
    return np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8)


def grown(
    heat: Float[np.ndarray, "h w"], size: tuple[int, int], at_first_pixel: bool
) -> Float[np.ndarray, "H W"]:
    """A map brought to the size of its image, bilinearly.

    Args:
      heat: the map; its places are a power of two pixels apart.
      size: (H, W).
      at_first_pixel: whether place k, s pixels apart, lies on pixel s k, or else in the middle of
        its s pixels.
    """
    where = []
    for pixels, places in zip(size, heat.shape, strict=True):
        apart = 2 ** round(math.log2(pixels / places))
        first = 0.0 if at_first_pixel else (apart - 1) / 2
        where.append((np.arange(pixels) - first) / apart)
    return ndimage.map_coordinates(
        heat.astype(float), np.meshgrid(*where, indexing="ij"), order=1, mode="nearest"
    )


def stretched(heat: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A map brought to 0..1, so that its differences can be seen; a constant one to 0."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else np.zeros_like(heat)
