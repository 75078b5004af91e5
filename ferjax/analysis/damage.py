"""Images made worse in ways that happen: blur, noise, JPEG, darkness, occlusion, rotation.

Shapes: N images, B of a batch, H W C. Strengths are given for a face of any size: lengths are
shares of the side.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import numpy as np
import PIL.Image
from jaxtyping import Int, UInt8
from scipy import ndimage

# Images that are damaged in every way; more would take minutes on a CPU.
MOST = 700
_BATCH = 64
_SEED = 0

Image = UInt8[np.ndarray, "H W C"]


@dataclasses.dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
      name: for people.
      unit: of the strengths, for people.
      strengths: from mild to strong.
      apply: `(image, strength, rng) -> image`.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[[Image, float, np.random.Generator], Image]


def damaged(
    images: UInt8[np.ndarray, "N H W C"], kind: Damage, strength: float, first: int = 0
) -> UInt8[np.ndarray, "N H W C"]:
    """Damages each image; what is random depends on the number of the image alone.

    Args:
      images: uint8 grey levels.
      kind: of damage.
      strength: of it.
      first: number of the first image.
    """
    made = np.empty_like(images)
    for at, image in enumerate(images):
        made[at] = kind.apply(image, strength, np.random.default_rng((_SEED, first + at)))
    return made


def blur(image: Image, share: float, _: np.random.Generator) -> Image:
    """Gaussian blur with a deviation of this share of the side."""
    sigma = share * len(image)
    return _rounded(
        ndimage.gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="nearest")
    )


def noise(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Gaussian noise with this deviation in grey levels, of each pixel and channel."""
    return _rounded(image + rng.normal(0, deviation, image.shape))


def jpeg(image: Image, quality: float, _: np.random.Generator) -> Image:
    """JPEG with this quality of Pillow's, from 1 (worst) to 95."""
    file = io.BytesIO()
    plain = image[..., 0] if image.shape[2] == 1 else image
    PIL.Image.fromarray(plain).save(file, "JPEG", quality=int(quality))
    return np.asarray(PIL.Image.open(file)).reshape(image.shape)


def darkness(image: Image, factor: float, _: np.random.Generator) -> Image:
    """Grey levels times a factor, rounded as a camera does."""
    return _rounded(image * factor)


def occlusion(image: Image, share: float, rng: np.random.Generator) -> Image:
    """A black square whose side is this share of the image's, at a random place."""
    height, width = (round(share * side) for side in image.shape[:2])
    top = rng.integers(0, image.shape[0] - height + 1)
    left = rng.integers(0, image.shape[1] - width + 1)
    made = image.copy()
    made[top : top + height, left : left + width] = 0
    return made


def rotation(image: Image, degrees: float, rng: np.random.Generator) -> Image:
    """Turned by this angle to the left or to the right; edges are repeated."""
    angle = degrees * rng.choice((-1, 1))
    return _rounded(
        ndimage.rotate(image.astype(np.float32), angle, reshape=False, order=1, mode="nearest")
    )


def _rounded(image: np.ndarray) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


KINDS = (
    Damage("blur", "of the side", (0.01, 0.02, 0.04), blur),
    Damage("noise", "grey levels", (8.0, 16.0, 32.0), noise),
    Damage("JPEG", "quality", (30.0, 15.0, 5.0), jpeg),
    Damage("darkness", "brightness", (0.5, 0.25, 0.1), darkness),
    Damage("occlusion", "of the side", (0.2, 0.35, 0.5), occlusion),
    Damage("rotation", "degrees", (10.0, 20.0, 30.0), rotation),
)


def drawn(number: int) -> Int[np.ndarray, " N"]:
    """Positions of the images that are damaged, at most `MOST` of `number`, in order."""
    return np.sort(np.random.default_rng(_SEED).permutation(number)[:MOST])


def accuracies(
    predict: Callable[[UInt8[np.ndarray, "B H W C"]], Int[np.ndarray, " B"]],
    images: UInt8[np.ndarray, "N H W C"],
    labels: Int[np.ndarray, " N"],
) -> dict[str, list[float]]:
    """Kind of damage -> accuracy without damage and at each strength, on the same images.

    Args:
      predict: the class of each image.
      images: uint8 grey levels.
      labels: true classes.
    """

    def right(shown: np.ndarray, start: int) -> int:
        return int((predict(shown) == labels[start : start + len(shown)]).sum())

    hits = {kind.name: [0] * (1 + len(kind.strengths)) for kind in KINDS}
    for start in range(0, len(images), _BATCH):  # all images at once may not fit
        batch = images[start : start + _BATCH]
        whole = right(batch, start)
        for kind in KINDS:
            hits[kind.name][0] += whole
            for at, strength in enumerate(kind.strengths, 1):
                hits[kind.name][at] += right(damaged(batch, kind, strength, start), start)
    return {name: [one / len(images) for one in found] for name, found in hits.items()}
