"""From pixels to the model's input, the same for training, evaluation and prediction.

Shapes: B batch, h w c stored image, S side of the model's input, C its channels.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from ferjax import stored_json
from ferjax.data.examples import Images
from ferjax.errors import UserError
from ferjax.stored_json import Rule, between, whole

# ITU-R 601-2 luma, the weights that Pillow's "L" conversion uses
LUMA = (0.299, 0.587, 0.114)
# Bytes of pixels that a thread measures at a time; it needs eight times as much memory for luma.
_PIECE_BYTES = 8 << 20
ORDERS = ("rgb", "bgr")
MOST_PIXELS = 1 << 24  # of an image that a checkpoint may say it was trained on

# What published weights expect: (mean, std, order), in units of grey levels / 255.
NORMALIZATIONS = {
    "unit": ((0.0,) * 3, (1.0,) * 3, "rgb"),  # x / 255
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb"),  # torchvision's
    "caffe": (
        (103.939 / 255, 116.779 / 255, 123.68 / 255),
        (1 / 255,) * 3,
        "bgr",
    ),  # of the VGG authors
}


_Side = Annotated[int, whole(1, 1 << 15)]
_SHAPE = Rule(
    lambda shape: len(shape) == 3 and shape[0] * shape[1] <= MOST_PIXELS and shape[2] in (1, 3),
    f"height, width and 1 or 3 channels, of at most {MOST_PIXELS:,} pixels",
)


class Stored(TypedDict):
    """A `Preprocessing` as JSON."""

    native_shape: Annotated[list[_Side], _SHAPE]
    image_size: Annotated[int, whole(1, 4096)]
    mean: list[Annotated[float, between(-1000, 1000)]]
    std: list[Annotated[float, between(1e-6, 1000)]]
    order: Literal["rgb", "bgr"]
    crop: NotRequired[
        Annotated[list[_Side], Rule(lambda sides: len(sides) == 2, "height and width")] | None
    ]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Channels, size and normalisation of the model's input; stored in the checkpoint.

    Attributes:
      native_shape: (h, w, c) of the images the model was trained on, before this step.
      image_size: side S of the model's input in pixels.
      mean: mean of each of the C channels, in units of grey levels / 255.
      std: standard deviation of each channel, likewise.
      order: "rgb" or "bgr": the order of three channels in the model's input, in `mean` and in
        `std`. Weights that were first published for Caffe expect "bgr".
      crop: (height, width) in pixels of the part of an image that the model sees, if it was trained
        on random crops; None for the whole image.
    """

    native_shape: tuple[int, int, int]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    order: str = "rgb"
    crop: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise UserError(
                f"Preprocessing has {len(self.mean)} means and {len(self.std)} standard "
                "deviations; expected one of each per channel, for 1 or 3 channels."
            )
        if not all(map(math.isfinite, self.mean)):
            raise UserError(f"Preprocessing has means {self.mean}; expected finite numbers.")
        if not all(0 < std < math.inf for std in self.std):  # which NaN is not, either
            raise UserError(f"Preprocessing has standard deviations {self.std}; expected > 0.")
        if self.order not in ORDERS:
            raise UserError(f"Preprocessing has order {self.order!r}; expected rgb or bgr.")
        if self.crop is not None and not all(
            0 < part <= whole for part, whole in zip(self.crop, self.native_shape, strict=False)
        ):
            raise UserError(
                f"Preprocessing has a crop of {self.crop} pixels; expected at least 1 and at most "
                f"those of the images, {self.native_shape[:2]}."
            )

    @property
    def channels(self) -> int:
        """Channels C of the model's input."""
        return len(self.mean)

    @jax.named_scope("preprocessing")
    def __call__(
        self, images: Float[Array, "B h w c"] | UInt8[Array, "B h w c"]
    ) -> Float[Array, "B S S C"]:
        """Maps grey levels 0..255 to normalised float32.

        First comes the crop of the centre, if there is one; an image that has its size already, as
        in training and in the test-time views, stays whole. If the model's input needs it, grey
        images are then replicated to three channels, or colour images turned grey by ITU-R 601
        luma. Then come bilinear resizing (with anti-aliasing when shrinking), the order of the
        channels, and (x / 255 - mean) / std.
        """
        if self.crop is not None:
            images = center_crop(images, self.crop)
        batch, height, width, channels = images.shape
        images = images.astype(jnp.float32)
        if channels == 1 and self.channels == 3:
            images = jnp.broadcast_to(images, (batch, height, width, 3))
        elif channels == 3 and self.channels == 1:
            weights = jnp.asarray(LUMA, jnp.float32)
            images = jnp.sum(images * weights[None, None, None, :], axis=3, keepdims=True)
        size = self.image_size
        if (height, width) != (size, size):
            images = jax.image.resize(images, (batch, size, size, self.channels), "bilinear")
        if self.order == "bgr":
            images = images[..., ::-1]
        mean = jnp.asarray(self.mean, jnp.float32) * 255.0
        scale = 1.0 / (jnp.asarray(self.std, jnp.float32) * 255.0)
        return (images - mean[None, None, None, :]) * scale[None, None, None, :]

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """Reads the object that `to_dict` wrote.

        Raises:
          UserError: a field is unknown, for example written by a newer version.
          stored_json.Unfit: a field is missing, or has another type or range.
        """
        # Older checkpoints lack this field; their models see the whole image.
        fields = {"crop": None, **fields}
        expected = {field.name for field in dataclasses.fields(cls)}
        if not set(fields) <= expected:
            raise UserError(
                f"The checkpoint's preprocessing has the fields {sorted(fields)}; this version "
                f"expects {sorted(expected)}. Use the version of ferjax that wrote it."
            )
        stored_json.check(fields, Stored, "preprocessing")
        height, width, channels = fields["native_shape"]
        return cls(
            native_shape=(height, width, channels),
            image_size=fields["image_size"],
            mean=tuple(fields["mean"]),
            std=tuple(fields["std"]),
            order=fields["order"],
            crop=fields["crop"] and (fields["crop"][0], fields["crop"][1]),
        )


def create(
    normalization: str,
    *,
    native_shape: tuple[int, int, int],
    image_size: int,
    channels: int,
    crop: float = 1.0,
    training_images: Callable[[], Images],
) -> Preprocessing:
    """The preprocessing that a config names.

    Args:
      normalization: "dataset" for mean and deviation of the training images, or one of
        `NORMALIZATIONS`.
      native_shape: (h, w, c) of the stored images.
      image_size: side of the model's input.
      channels: channels of the model's input.
      crop: share of the side that the model sees (random crops in training); 1 for all of it.
      training_images: returns the training images; called only for "dataset".

    Raises:
      UserError: a crop that leaves no pixel.
      ValueError: an unknown normalization, or statistics of three channels for one channel.
    """
    size = _crop_size(crop, native_shape)
    if normalization == "dataset":
        mean, std = channel_statistics(training_images(), channels)
        return Preprocessing(native_shape, image_size, mean, std, crop=size)
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization is {normalization!r}, which does not exist")
    mean, std, order = NORMALIZATIONS[normalization]
    if channels == 1:
        if normalization != "unit":
            raise ValueError(f"normalization {normalization!r} is of three channels, not of one")
        mean, std = mean[:1], std[:1]
    return Preprocessing(native_shape, image_size, mean, std, order, size)


def center_crop(
    images: Shaped[Array, "B H W C"], size: tuple[int, int]
) -> Shaped[Array, "B h w C"]:
    """The centre of images, `size` pixels high and wide; an odd pixel is lost below and right."""
    _, height, width, _ = images.shape
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return images[:, top : top + size[0], left : left + size[1], :]


def _crop_size(share: float, native_shape: tuple[int, int, int]) -> tuple[int, int] | None:
    """The pixels of a crop by its share of the side; None for the whole image."""
    height, width, _ = native_shape
    size = (round(share * height), round(share * width))
    if min(size) < 1:
        raise UserError(
            f"augment.crop is {share}, which leaves no pixel of {height}x{width}; use more."
        )
    return None if size == (height, width) else size


def channel_statistics(
    images: Images, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each of `channels` channels, in grey levels / 255.

    Computed from histograms of the stored integers, so that the figures are exact and do not
    depend on the order of the examples. A colour image that a grey model will see is measured as
    luma. Images that are not in memory are read in pieces.
    """
    as_luma = images.shape[3] == 3 and channels == 1
    # Luma of 8-bit colours in thousandths of a grey level is an integer, too.
    levels = np.arange(255_001) / 255_000.0 if as_luma else np.arange(256) / 255.0
    at_a_time = max(1, _PIECE_BYTES // int(np.prod(images.shape[1:])))

    def counted(start: int) -> np.ndarray:
        piece = images[np.arange(start, min(start + at_a_time, len(images)))]
        if as_luma:
            piece = np.sum(piece * np.rint(1000 * np.array(LUMA)).astype(np.int64), axis=3)[
                ..., None
            ]
        planes = np.moveaxis(piece, 3, 0).reshape(piece.shape[3], -1)
        return np.stack([np.bincount(plane, minlength=len(levels)) for plane in planes])

    # Images that are read when they are asked for are decoded by all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = sum(
            pool.map(counted, range(0, len(images), at_a_time)),
            start=np.zeros((1 if as_luma else images.shape[3], len(levels)), np.int64),
        )
    means, stds = [], []
    for count in counts:
        share = count / count.sum()
        mean = float(share @ levels)
        means.append(mean)
        stds.append(float(np.sqrt(share @ (levels - mean) ** 2)))
    if channels == 3 and len(means) == 1:
        means, stds = means * 3, stds * 3
    return tuple(means), tuple(stds)
