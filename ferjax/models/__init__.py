"""Models by name: `create("resnet18", ...)` returns a Flax NNX module.

Every model maps images [B, H, W, C] to (logits float32 [B, K], features float32 [B, D]).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ferjax.errors import UserError, nearest
from ferjax.models import weights
from ferjax.models.initialization import initialize
from ferjax.models.resnet import ATTENTIONS, STAGE_SIZES, STEMS, ResNet

__all__ = ["BATCH_STATS", "DTYPES", "NAMES", "create", "parameter_count", "weights"]

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
BATCH_STATS = ("global", "per_device")


def _resnet(stage_sizes: tuple[int, ...]) -> Callable[..., ResNet]:
    def build(**keywords: Any) -> ResNet:
        return ResNet(stage_sizes, **keywords)

    return build


_CONSTRUCTORS = {name: _resnet(sizes) for name, sizes in STAGE_SIZES.items()}
NAMES = tuple(_CONSTRUCTORS)


def create(
    name: str,
    *,
    num_classes: int,
    channels: int = 1,
    image_size: int = 48,
    stem: str = "small",
    attention: str | None = None,
    width: int = 64,
    dtype: str = "float32",
    batch_stats: str = "global",
    remat: bool = False,
    se_bias: bool = True,
    num_devices: int | None = None,
    rngs: nnx.Rngs,
) -> ResNet:
    """Builds a model with fresh weights, in training mode.

    Args:
      name: one of `NAMES`.
      num_classes: K, at least 2.
      channels: image channels, 1 or 3.
      image_size: side of the images in pixels, at least 16.
      stem: "imagenet", "small" or "half".
      attention: None (or "none"), "se" or "cbam".
      width: channels of the first stage.
      dtype: compute type, "float32" or "bfloat16"; parameters are float32 in both.
      batch_stats: "global" normalises over the whole batch, however many devices hold it;
        "per_device" over the contiguous B/n rows of each of n devices, without communication.
      remat: trade compute for memory, block by block.
      se_bias: biases in the squeeze-and-excitation gates.
      num_devices: n of "per_device"; the number of all devices by default.
      rngs: source of the initial weights.

    Raises:
      UserError: a value that no model has, with the values that exist.
    """
    if attention == "none":
        attention = None
    _check("model", name, NAMES)
    _check("stem", stem, tuple(STEMS))
    _check("attention", attention, ATTENTIONS)
    _check("dtype", dtype, tuple(DTYPES))
    _check("batch_stats", batch_stats, BATCH_STATS)
    _check("channels", channels, (1, 3))
    for field, value, least in (
        ("num_classes", num_classes, 2),
        ("image_size", image_size, 16),
        ("width", width, 1),
    ):
        if value < least:
            raise UserError(f"{field} is {value}; it must be at least {least}.")
    groups = 1
    if batch_stats == "per_device":
        groups = jax.device_count() if num_devices is None else num_devices
    model = _CONSTRUCTORS[name](
        num_classes=num_classes,
        channels=channels,
        stem=stem,
        attention=attention,
        width=width,
        se_bias=se_bias,
        groups=groups,
        remat=remat,
        dtype=jnp.dtype(DTYPES[dtype]),
    )
    initialize(model, rngs.params())
    return model


def parameter_count(model: nnx.Module) -> int:
    """Number of trainable parameters; running statistics are not counted."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def _check(field: str, value: object, choices: tuple) -> None:
    if value in choices:
        return
    names = ["none" if choice is None else str(choice) for choice in choices]
    raise UserError(
        f"{field} is {value!r}; expected one of {', '.join(names)}.{nearest(str(value), names)}"
    )
