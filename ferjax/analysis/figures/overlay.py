"""A face with what a model looked at laid over it, as pixels."""

from __future__ import annotations

import jax
import matplotlib
import numpy as np
from jaxtyping import Float, UInt8

_MAP = "inferno"
_STRENGTH = 0.55


def overlay(
    image: Float[np.ndarray, "H W C"], heat: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The image in grey with a map over it, brought to its size bilinearly.

    Args:
      image: grey levels 0..255, grey or RGB.
      heat: 0 for nothing, 1 for the most.
    """
    grey = image.mean(axis=2, keepdims=True) / 255.0
    grown = np.asarray(jax.image.resize(heat, image.shape[:2], "bilinear"))
    color = matplotlib.colormaps[_MAP](np.clip(grown, 0, 1))[..., :3]
    mixed = (1 - _STRENGTH) * grey + _STRENGTH * color
    return np.rint(255 * np.clip(mixed, 0, 1)).astype(np.uint8)


def stretched(heat: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A map brought to 0..1, so that its differences can be seen; a constant one to 0."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else np.zeros_like(heat)
