"""Images made worse in ways that happen: blur, noise, JPEG, darkness, occlusion, rotation.

Shapes: N images, H W C. Strengths are given for a face of any size: lengths are shares of the side.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from scipy import ndimage

_SEED = 0

Images = UInt8[np.ndarray, "N H W C"]


@dataclasses.dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
      name: for people.
      unit: of the strengths, for people.
      strengths: from mild to strong.
      apply: `(images, strength, first) -> images`, where `first` is the number of the first image.
        Randomness depends on the number of an image alone.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Images, float, int], Images]


def blur(images: Images, share: float, first: int = 0) -> Images:
    """Gaussian blur with a deviation of this share of the side."""
    del first
    sigma = share * images.shape[1]
    found = ndimage.gaussian_filter(images.astype(np.float32), (0, sigma, sigma, 0), mode="nearest")
    return _rounded(found)


def noise(images: Images, deviation: float, first: int = 0) -> Images:
    """Gaussian noise with this deviation in grey levels, of each pixel and channel."""
    made = np.empty_like(images)
    for image, target, rng in zip(images, made, _generators(images, first), strict=True):
        target[...] = _rounded(image + rng.normal(0, deviation, image.shape))
    return made


def jpeg(images: Images, quality: float, first: int = 0) -> Images:
    """JPEG with this quality of Pillow's, from 1 (worst) to 95."""
    del first
    made = np.empty_like(images)
    for at, image in enumerate(images):
        file = io.BytesIO()
        grey = image.shape[2] == 1
        Image.fromarray(image[..., 0] if grey else image).save(file, "JPEG", quality=int(quality))
        found = np.asarray(Image.open(file))
        made[at] = found[..., None] if grey else found
    return made


def darkness(images: Images, factor: float, first: int = 0) -> Images:
    """Grey levels times a factor, rounded as a camera does."""
    del first
    return _rounded(images * factor)


def occlusion(images: Images, share: float, first: int = 0) -> Images:
    """A black square whose side is this share of the image's, at a random place of each image."""
    made = images.copy()
    _, height, width, _ = images.shape
    side = (round(share * height), round(share * width))
    for image, rng in zip(made, _generators(images, first), strict=True):
        top, left = rng.integers(0, height - side[0] + 1), rng.integers(0, width - side[1] + 1)
        image[top : top + side[0], left : left + side[1]] = 0
    return made


def rotation(images: Images, degrees: float, first: int = 0) -> Images:
    """Turned by this angle to the left or to the right; edges are repeated."""
    made = np.empty_like(images)
    for image, target, rng in zip(images, made, _generators(images, first), strict=True):
        turned = ndimage.rotate(
            image.astype(np.float32),
            degrees * rng.choice((-1, 1)),
            reshape=False,
            order=1,
            mode="nearest",
        )
        target[...] = _rounded(turned)
    return made


def _generators(images: Images, first: int) -> list[np.random.Generator]:
    """A generator for each image, by its number."""
    return [np.random.default_rng((_SEED, first + at)) for at in range(len(images))]


def _rounded(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


KINDS = (
    Damage("blur", "of the side", (0.01, 0.02, 0.04), blur),
    Damage("noise", "grey levels", (8.0, 16.0, 32.0), noise),
    Damage("JPEG", "quality", (30.0, 15.0, 5.0), jpeg),
    Damage("darkness", "brightness", (0.5, 0.25, 0.1), darkness),
    Damage("occlusion", "of the side", (0.2, 0.35, 0.5), occlusion),
    Damage("rotation", "degrees", (10.0, 20.0, 30.0), rotation),
)
