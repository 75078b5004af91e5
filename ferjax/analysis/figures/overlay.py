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
    image: Float[np.ndarray, "H W C"],
    heat: Float[np.ndarray, "h w"],
    *,
    image_size: int,
    at_first_pixel: bool,
) -> UInt8[np.ndarray, "H W 3"]:
    """The image in grey with a map over it.

    Args:
      image: grey levels 0..255, grey or RGB.
      heat: 0 for nothing, 1 for the most.
      image_size: see `grown`.
      at_first_pixel: see `grown`.
    """
    grey = image.mean(axis=2, keepdims=True) / 255.0
    laid = grown(heat, image.shape[:2], image_size=image_size, at_first_pixel=at_first_pixel)
    color = matplotlib.colormaps[_MAP](np.clip(laid, 0, 1))[..., :3]
    mixed = (1 - _STRENGTH) * grey + _STRENGTH * color
    return np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8)


def grown(
    heat: Float[np.ndarray, "h w"],
    size: tuple[int, int],
    *,
    image_size: int,
    at_first_pixel: bool,
) -> Float[np.ndarray, "H W"]:
    """A map brought to the size of its image, bilinearly.

    Args:
      heat: the map of the model.
      size: (H, W) of the image before it is resized for the model.
      image_size: side of the model's input, in whose pixels the places of the map are a power of
        two apart.
      at_first_pixel: whether place k, s pixels apart, lies on pixel s k, or else in the middle of
        its s pixels.
    """
    where = []
    for pixels, places in zip(size, heat.shape, strict=True):
        apart = 2 ** round(math.log2(image_size / places))
        first = 0.0 if at_first_pixel else (apart - 1) / 2
        inside = (np.arange(pixels) + 0.5) * image_size / pixels - 0.5
        where.append((inside - first) / apart)
    return ndimage.map_coordinates(
        heat.astype(float), np.meshgrid(*where, indexing="ij"), order=1, mode="nearest"
    )


def stretched(heat: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A map brought to 0..1, so that its differences can be seen; a constant one to 0."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else np.zeros_like(heat)
