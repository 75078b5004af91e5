"""VGG-19 with spatial attention (Tam and Tinh, tam2021).

F is the map after the last pooling, A = sigmoid(conv7x7([mean_C F, max_C F])) as in the paper's
Table I; the classifier's input is F with A as one more channel. Shapes: B batch, H W C image, h w
map, D features, K classes.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ferjax.errors import UserError, one_of
from ferjax.models.additions import Addition
from ferjax.models.layers.basic import Conv, Dense, Dropout
from ferjax.models.ops.maxima import maximum
from ferjax.models.registry import register
from ferjax.models.vgg import LAYOUTS, VGGTrunk

ATTENTIONS = ("concat", "multiply", "none")


@register("vgg19_attention")
class VGGAttention(VGGTrunk):
    """VGG-19's convolutions, a spatial attention map, and a classifier of two dense layers.

    Weights of a VGG-19 load; attention and classifier, which a VGG-19 does not have, start fresh.

    Args:
      num_classes: K.
      channels: image channels C.
      image_size: side of the images in pixels, a multiple of 32; the classifier has weights for
        each position of the map.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type; parameters, statistics, features and logits are float32.
      attention: "concat" appends A to F (the paper), "multiply" scales F by A, "none" has no A.
      attention_bias: a bias in the 7x7 convolution.
      batch_norm: batch norm between convolution and ReLU.
      width: channels of the first convolution; all other layers scale with it.
      dropout: rate before the first dense layer.
    """

    additions: ClassVar[tuple[Addition, ...]] = (
        Addition(("spatial",)),
        Addition(("fc1", "fc2"), replaces=("classifier",)),
    )
    classifier_name = "fc2"

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int,
        image_size: int,
        groups: int,
        dtype: jnp.dtype,
        attention: str = "concat",
        attention_bias: bool = False,
        batch_norm: bool = False,
        width: int = 64,
        dropout: float = 0.5,
    ):
        one_of("attention", attention, ATTENTIONS)
        if image_size < 32 or image_size % 32:
            raise UserError(
                f"image_size is {image_size}; vgg19_attention needs a positive multiple of 32, as "
                "224."
            )
        super().__init__(
            LAYOUTS["vgg19"],
            channels=channels,
            batch_norm=batch_norm,
            width=width,
            groups=groups,
            dtype=dtype,
        )
        self.attention = attention
        if attention != "none":
            self.spatial = Conv(
                2, 1, 7, padding=3, use_bias=attention_bias, dtype=jnp.dtype(jnp.float32)
            )
        depth = self.num_features + (attention == "concat")
        hidden = 4096 * self.num_features // 512
        self.dropout = Dropout(dropout, salt=0)
        self.fc1 = Dense((image_size // 32) ** 2 * depth, hidden, dtype=self.dtype)
        self.fc2 = Dense(hidden, num_classes)

    def attention_map(self, maps: Float[Array, "B h w C"]) -> Float[Array, "B h w 1"]:
        """A, in (0, 1) and float32, of the map F = maps; the mean comes first."""
        mean = jnp.mean(maps, axis=3, keepdims=True, dtype=jnp.float32)
        largest = maximum(maps, axis=3)[..., None].astype(jnp.float32)
        return jax.nn.sigmoid(self.spatial(jnp.concatenate([mean, largest], axis=3)))

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32.

        Args:
          images: preprocessed, of the model's image size.
          keys: one random key per example; dropout needs them in training mode.
        """
        maps = self.feature_map(images)
        if self.attention != "none":
            gate = self.attention_map(maps).astype(maps.dtype)
            gate = self.record("attention_map", gate, drop=3)
            if self.attention == "concat":
                maps = jnp.concatenate([maps, gate], axis=3)
            else:
                maps = maps * gate
        x = self.dropout(maps.reshape(maps.shape[0], -1), keys)
        features = jax.nn.relu(self.fc1(x)).astype(jnp.float32)
        features = self.record("features", features)
        return self.fc2(features), features
