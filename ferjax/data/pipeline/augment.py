"""Random augmentation on the device, inside the training step.

Every example draws from a key made of (seed, epoch, index of the example) alone, so neither
devices, nor processes, nor the place of the data change what it sees. Shapes: B batch, H W C image.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ferjax.data.pipeline.preprocess import LUMA
from ferjax.errors import UserError
from ferjax.random_streams import ExampleStream, Stream, of_example, root


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to a training image; every default leaves it as it is.

    Attributes:
      shift: largest shift in pixels in each direction, with edge padding (a random crop).
      subpixel: shifts by fractions of a pixel, bilinearly, instead of whole pixels.
      flip: probability of the mirror image.
      rotation: largest angle in degrees, bilinear with edge padding.
      rotation_probability: probability that an image is rotated at all.
      desaturation: probability that a colour image becomes grey (ITU-R 601 luma).
      erasing: probability that a rectangle is erased (Zhong et al. 2020, algorithm 1).
      erasing_area: smallest and largest share of the image that is erased.
      erasing_aspect: largest ratio of height to width of the rectangle; the smallest is 1 over it.
      fill: grey level in 0..255 of what is erased.
    """

    shift: float | int = 0
    subpixel: bool = False
    flip: float = 0.0
    rotation: float = 0.0
    rotation_probability: float = 1.0
    desaturation: float = 0.0
    erasing: float = 0.0
    erasing_area: tuple[float, float] = (0.02, 0.25)
    erasing_aspect: float = 3.0
    fill: float = 127.0

    def __post_init__(self) -> None:
        for field in ("flip", "rotation_probability", "desaturation", "erasing"):
            value = getattr(self, field)
            if not 0.0 <= value <= 1.0:
                raise UserError(f"augment.{field} is {value}; a probability lies in [0, 1].")
        for field, limit in (("shift", None), ("rotation", 180.0)):
            value = getattr(self, field)
            if value < 0 or (limit is not None and value > limit):
                upper = "" if limit is None else f" and at most {limit}"
                raise UserError(f"augment.{field} is {value}; it must be at least 0{upper}.")
        if not self.subpixel and self.shift != int(self.shift):
            raise UserError(
                f"augment.shift is {self.shift}; without augment.subpixel it is a whole number."
            )
        low, high = self.erasing_area
        if not 0.0 < low <= high < 1.0:
            raise UserError(
                f"augment.erasing_area is {self.erasing_area}; expected two shares, the smaller "
                "first, above 0 and below 1."
            )
        if self.erasing_aspect < 1.0:
            raise UserError(f"augment.erasing_aspect is {self.erasing_aspect}; expected >= 1.")

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"]
    ) -> Float[Array, "B H W C"]:
        """Augments images with grey levels in 0..255, one key each (see `example_keys`)."""
        if self.shift or self.flip or self.rotation:
            images = jax.vmap(self._move)(images, keys)
        if self.desaturation and images.shape[3] == 3:
            images = jax.vmap(self._desaturate)(images, keys)
        if self.erasing:
            images = jax.vmap(self._erase)(images, keys)
        return images

    def _move(self, image: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "H W C"]:
        """Flip, then shift, then rotation, as one resampling of the image."""
        # One draw for all: a generator for each would cost more than the resampling.
        down, right, mirror, turn, angle = jax.random.uniform(
            of_example(key, ExampleStream.MOVE), (5,)
        )
        flip = mirror < self.flip
        draws = jnp.stack([down, right])
        if self.subpixel:
            shift = (2.0 * draws - 1.0) * self.shift
        else:
            reach = int(self.shift)
            shift = jnp.floor(draws * (2 * reach + 1)).astype(jnp.int32) - reach
            if not self.rotation:
                return shift_and_flip(image, shift, flip)
        degrees = jnp.where(turn < self.rotation_probability, (2.0 * angle - 1.0), 0.0)
        return resample(image, shift, flip, jnp.deg2rad(degrees * self.rotation))

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
        rows, columns = _grid(height, width)
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

    Where examples repeat within an epoch `visits` counts how often each was there before, and the
    key depends on that, too.
    """
    key = jax.random.fold_in(root(seed, Stream.EXAMPLES), epoch)
    keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(indices)
    return keys if visits is None else jax.vmap(jax.random.fold_in)(keys, visits)


def _grid(height: int, width: int) -> tuple[Float[Array, "H 1"], Float[Array, "1 W"]]:
    return (
        jnp.arange(height, dtype=jnp.float32)[:, None],
        jnp.arange(width, dtype=jnp.float32)[None, :],
    )


def shift_and_flip(
    image: Float[Array, "H W C"], shift: Int[Array, "2"], flip: Bool[Array, ""]
) -> Float[Array, "H W C"]:
    """Mirrors an image and moves it by whole pixels, repeating its edges; exact.

    Accelerators do it by two products with selection matrices, which their matrix units like better
    than a gather; CPUs by the gather.
    """
    height, width, _ = image.shape
    rows = jnp.clip(jnp.arange(height) + shift[0], 0, height - 1)
    columns = jnp.clip(jnp.arange(width) + shift[1], 0, width - 1)
    columns = jnp.where(flip, width - 1 - columns, columns)
    return jax.lax.platform_dependent(image, rows, columns, cpu=_gather, default=_select)


def _gather(image: Array, rows: Array, columns: Array) -> Array:
    return image[rows[:, None], columns[None, :]]


def _select(image: Array, rows: Array, columns: Array) -> Array:
    height, width, _ = image.shape
    image = jnp.einsum("yh,hwc->ywc", jax.nn.one_hot(rows, height, dtype=image.dtype), image)
    return jnp.einsum("xw,ywc->yxc", jax.nn.one_hot(columns, width, dtype=image.dtype), image)


def resample(
    image: Float[Array, "H W C"],
    shift: Int[Array, "2"] | Float[Array, "2"],
    flip: Bool[Array, ""],
    angle: Float[Array, ""],
) -> Float[Array, "H W C"]:
    """Bilinear sampling of the rotated, shifted and mirrored image about its centre."""
    height, width, _ = image.shape
    rows, columns = _grid(height, width)
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    source_y = cos * y - sin * x + shift[0]
    source_x = sin * y + cos * x + shift[1]
    source_x = jnp.where(flip, -source_x, source_x)
    points = [source_y + (height - 1) / 2, source_x + (width - 1) / 2]

    def sample(plane: Float[Array, "H W"]) -> Float[Array, "H W"]:
        return jax.scipy.ndimage.map_coordinates(plane, points, order=1, mode="nearest")

    return jax.vmap(sample, in_axes=2, out_axes=2)(image)
