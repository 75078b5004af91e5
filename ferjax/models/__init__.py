"""Models by name: `create("resnet18", ...)` returns a Flax NNX module.

Every model maps images [B, H, W, C] to (logits float32 [B, K], features float32 [B, D]).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ferjax.errors import at_least, one_of

# isort: off
# Each of these files registers its models; messages list the names in this order.
from ferjax.models import resnet, vgg, vgg_attention, se_cnn, attention_fusion, fusion  # noqa: F401

# isort: on
from ferjax.models import registry, weights
from ferjax.models.intermediates import record, recording
from ferjax.models.layers.frozen import Frozen
from ferjax.models.layers.initialization import initialize
from ferjax.models.layers.named import name_modules
from ferjax.models.model import Model
from ferjax.models.registry import Common, build, model_class, options

__all__ = [
    "BATCH_STATS",
    "DTYPES",
    "NAMES",
    "Model",
    "create",
    "model_class",
    "options",
    "parameter_count",
    "record",
    "recording",
    "weights",
]

NAMES = registry.names()
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
BATCH_STATS = ("global", "per_device")


def create(
    name: str,
    *,
    num_classes: int,
    channels: int = 1,
    image_size: int = 48,
    dtype: str = "float32",
    batch_stats: str = "global",
    remat: bool = False,
    num_devices: int | None = None,
    rngs: nnx.Rngs,
    **chosen: Any,
) -> Model:
    """Builds a model with fresh weights, in training mode.

    Args:
      name: one of `NAMES`.
      num_classes: K, at least 2.
      channels: image channels C, 1 or 3.
      image_size: side of the images in pixels.
      dtype: compute type, "float32" or "bfloat16"; parameters are float32 in both.
      batch_stats: "global" normalises over the whole batch, on however many devices it is;
        "per_device" over the contiguous B/n rows of each of n devices, without communication.
      remat: ResNets do not keep the activations of a block, but compute them again in the backward
        pass. A model without a ResNet refuses it, because it would save no memory there.
      num_devices: n of "per_device"; by default the number of all devices.
      rngs: source of the initial weights.
      **chosen: options of the model. `options(name)` lists them with their defaults, and the class
        of the model documents them.

    Raises:
      UserError: an unknown value or option, with the ones that exist.
    """
    one_of("model", name, NAMES)
    one_of("dtype", dtype, tuple(DTYPES))
    one_of("batch_stats", batch_stats, BATCH_STATS)
    one_of("channels", channels, (1, 3))
    at_least("num_classes", num_classes, 2)
    groups = 1
    if batch_stats == "per_device":
        groups = jax.device_count() if num_devices is None else num_devices
    common = Common(num_classes, channels, image_size, groups, remat, jnp.dtype(DTYPES[dtype]))
    model = build(name, common, **chosen)
    initialize(model, rngs.params())
    name_modules(model)
    return model


def parameter_count(model: nnx.Module) -> int:
    """Number of parameters, frozen ones included; running statistics are not counted."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, (nnx.Param, Frozen))))
