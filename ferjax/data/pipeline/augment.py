"""Random augmentation on the device, inside the training step.

Every example draws from a key made of (seed, epoch, index of the example) alone, so its
augmentation does not depend on devices, processes or the place of the data. Mixup, which mixes
pairs of augmented images, is in mixup.py. Shapes: B batch, H W C image.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ferjax.data.pipeline.geometry import grid, resample, shift_and_flip
from ferjax.data.pipeline.preprocess import LUMA
from ferjax.random_streams import ExampleStream, Stream, of_example, root

_SHARES = (
    "flip",
    "rotation_probability",
    "desaturation",
    "brightness",
    "contrast",
    "jitter_probability",
    "erasing",
)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The augmentation of a training image; every default leaves it as it is.

    The geometry comes first, as one resampling of the image, in this order: flip, scale, shift,
    rotation, crop. So a shift is in pixels of the scaled image. Then saturation, brightness and
    contrast; erasing comes last.

    Here `shift` and `crop` are in pixels; the config has them as shares of the side, and
    training/inputs.py converts them.

    Attributes:
      shift: largest shift in pixels in each direction, with edge padding (a random crop).
      subpixel: shifts by fractions of a pixel, bilinearly, instead of whole pixels.
      flip: probability of the mirror image.
      scale: smallest and largest factor by which the image is magnified about its centre, bilinear
        with edge padding: the visible part has the side divided by the factor, and the same aspect.
      rotation: largest angle in degrees, bilinear with edge padding.
      rotation_probability: probability that an image is rotated at all.
      crop: (height, width) in pixels of a random part of the image; the result has this size. None
        for the whole image.
      desaturation: probability that a colour image becomes grey (ITU-R 601 luma).
      brightness: largest relative change b of the grey levels: they are multiplied by a factor from
        [1 - b, 1 + b] (torchvision's ColorJitter).
      contrast: largest relative change c of the distance of the grey levels from the image's mean
        (of its luma), by a factor from [1 - c, 1 + c], after the brightness (likewise).
      jitter_probability: probability that brightness and contrast are changed at all.
      erasing: probability that a rectangle is erased (Zhong et al. 2020, algorithm 1).
      erasing_area: smallest and largest share of the image that is erased.
      erasing_aspect: largest ratio of height to width of the rectangle; the smallest is 1 over it.
      fill: grey level in 0..255 of what is erased.

    Raises:
      ValueError: a number out of its range, or a shift that is not whole without `subpixel`.
    """

    shift: float | int = 0
    subpixel: bool = False
    flip: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    rotation_probability: float = 1.0
    crop: tuple[int, int] | None = None
    desaturation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    jitter_probability: float = 1.0
    erasing: float = 0.0
    erasing_area: tuple[float, float] = (0.02, 0.25)
    erasing_aspect: float = 3.0
    fill: float = 127.0

    def __post_init__(self) -> None:
        is_sound = {name: 0.0 <= getattr(self, name) <= 1.0 for name in _SHARES} | {
            "shift": self.shift >= 0 and (self.subpixel or self.shift == int(self.shift)),
            "scale": 0.0 < self.scale[0] <= self.scale[1] < math.inf,
            "rotation": 0.0 <= self.rotation <= 180.0,
            "erasing_area": 0.0 < self.erasing_area[0] <= self.erasing_area[1] < 1.0,
            "erasing_aspect": self.erasing_aspect >= 1.0,
        }
        for name, sound in is_sound.items():
            if not sound:
                raise ValueError(f"{name} is {getattr(self, name)}, which is out of its range")

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"]
    ) -> Float[Array, "B h w C"]:
        """Augments images with grey levels in 0..255, one key each (see `example_keys`).

        The result has the size of `crop`, or of the images.
        """
        if self.shift or self.flip or self.rotation or self._scales or self.crop:
            images = jax.vmap(self._move)(images, keys)
        if self.desaturation and images.shape[3] == 3:
            images = jax.vmap(self._desaturate)(images, keys)
        if self.brightness or self.contrast:
            images = jax.vmap(self._jitter)(images, keys)
        if self.erasing:
            images = jax.vmap(self._erase)(images, keys)
        return images

    @property
    def _scales(self) -> bool:
        return self.scale != (1.0, 1.0)

    def _move(self, image: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "h w C"]:
        """Flip, scale, shift, rotation and crop, as one resampling of the image."""
        # One draw for all: a generator for each would cost more than the resampling.
        down, right, mirror, turn, angle = jax.random.uniform(
            of_example(key, ExampleStream.MOVE), (5,)
        )
        flip = mirror < self.flip
        draws = jnp.stack([down, right])
        factor, corner = self._scale_and_corner(image.shape, key)
        if self.subpixel:
            shift = (2.0 * draws - 1.0) * self.shift
        else:
            reach = int(self.shift)
            shift = jnp.floor(draws * (2 * reach + 1)).astype(jnp.int32) - reach
            if not self.rotation and not self._scales:
                start = shift if corner is None else shift + corner
                return shift_and_flip(image, start, flip, self.crop)
        degrees = jnp.where(turn < self.rotation_probability, (2.0 * angle - 1.0), 0.0)
        angle = jnp.deg2rad(degrees * self.rotation)
        return resample(image, shift, flip, angle, factor=factor, corner=corner, size=self.crop)

    def _scale_and_corner(
        self, shape: tuple[int, ...], key: Key[Array, ""]
    ) -> tuple[Float[Array, ""] | None, Int[Array, "2"] | None]:
        """A factor from `scale`, and the top left pixel of the crop; None if it is switched off."""
        if not self._scales and self.crop is None:
            return None, None
        # From its own random stream, so that the other augmentations draw the same numbers.
        zoom, *place = jax.random.uniform(of_example(key, ExampleStream.ZOOM), (3,))
        low, high = self.scale
        factor = low + zoom * (high - low) if self._scales else None
        if self.crop is None:
            return factor, None
        corners = jnp.array([shape[0] - self.crop[0] + 1, shape[1] - self.crop[1] + 1])
        return factor, jnp.floor(jnp.stack(place) * corners).astype(jnp.int32)

    def _jitter(self, image: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "H W C"]:
        bright, contrasted, chosen = jax.random.uniform(of_example(key, ExampleStream.JITTER), (3,))
        changed = jitter(
            image,
            1.0 + (2.0 * bright - 1.0) * self.brightness,
            1.0 + (2.0 * contrasted - 1.0) * self.contrast,
        )
        return jnp.where(chosen < self.jitter_probability, changed, image)

    def _desaturate(
        self, image: Float[Array, "H W C"], key: Key[Array, ""]
    ) -> Float[Array, "H W C"]:
        weights = jnp.asarray(LUMA, image.dtype)
        grey = jnp.sum(image * weights[None, None, :], axis=2, keepdims=True)
        chosen = jax.random.bernoulli(of_example(key, ExampleStream.DESATURATE), self.desaturation)
        return jnp.where(chosen, grey, image)

    def _erase(self, image: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "H W C"]:
        height, width, _ = image.shape
        area_key, aspect_key, place_key, erase_key = jax.random.split(
            of_example(key, ExampleStream.ERASE), 4
        )
        low, high = self.erasing_area
        area = jax.random.uniform(area_key, minval=low, maxval=high) * (height * width)
        spread = jnp.log(self.erasing_aspect)
        aspect = jnp.exp(jax.random.uniform(aspect_key, minval=-1.0, maxval=1.0) * spread)
        size = jnp.stack([jnp.sqrt(area * aspect), jnp.sqrt(area / aspect)])
        limits = jnp.array([height, width], jnp.float32)
        size = jnp.clip(jnp.round(size), 1.0, limits)
        start = jnp.floor(jax.random.uniform(place_key, (2,)) * (limits - size + 1.0))
        rows, columns = grid(height, width)
        inside = (
            (rows >= start[0])
            & (rows < start[0] + size[0])
            & (columns >= start[1])
            & (columns < start[1] + size[1])
        )
        erase = inside & jax.random.bernoulli(erase_key, self.erasing)
        return jnp.where(erase[:, :, None], self.fill, image)


def example_keys(
    seed: int,
    epoch: Int[Array, ""],
    indices: Int[Array, " B"],
    visits: Int[Array, " B"] | None = None,
) -> Key[Array, " B"]:
    """One random key for each example, a function of (seed, epoch, index) alone.

    If examples repeat within an epoch, `visits` counts how often each was there before, and the key
    depends on that, too.
    """
    key = jax.random.fold_in(root(seed, Stream.EXAMPLES), epoch)
    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
    return keys if visits is None else jax.vmap(jax.random.fold_in)(keys, visits)


def jitter(
    image: Float[Array, "H W C"], brightness: Float[Array, ""], contrast: Float[Array, ""]
) -> Float[Array, "H W C"]:
    """Changes brightness, then contrast, each clipped to 0..255, like torchvision's ColorJitter.

    Args:
      image: grey levels in 0..255, of one or three channels.
      brightness: factor on the grey levels.
      contrast: factor on their distance from the mean of the image's luma.
    """
    image = jnp.clip(brightness * image, 0.0, 255.0)
    grey = image
    if image.shape[2] == 3:
        grey = jnp.sum(image * jnp.asarray(LUMA, image.dtype)[None, None, :], axis=2)
    mean = jnp.mean(grey)
    return jnp.clip(mean + contrast * (image - mean), 0.0, 255.0)
