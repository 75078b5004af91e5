"""VGG-19 with spatial attention (Tam and Tinh, tam2021).

F is the map after the last pooling, A = sigmoid(conv7x7([mean_C F, max_C F])) as in the paper's
Table I; the classifier sees F with A as one more channel. Shapes: B batch, H W C image, h w map, K
classes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ferjax.models.additions import Addition
from ferjax.models.layers.basic import Conv, Dense, Dropout
from ferjax.models.ops.maxima import maximum
from ferjax.models.vgg import LAYOUTS, VGGTrunk

ATTENTIONS = ("concat", "multiply", "none")


class VGGAttention(VGGTrunk):
    """VGG-19's convolutions, a spatial attention map, and a classifier of two dense layers.

    Args:
      num_classes: K.
      image_size: side of the images; the classifier has weights for each position of the map.
      attention: "concat" appends A to F (the paper), "multiply" scales F by it, "none" leaves F.
      attention_bias: a bias in the 7x7 convolution.
      dropout: rate before the first dense layer.
      **trunk: keywords of `VGGTrunk`.

    Weights of a VGG-19 fit but for the attention and the classifier, which is another one here.
    """

    additions: ClassVar = (
        Addition(("spatial",)),
        Addition(("fc1", "fc2"), replaces=("classifier",)),
    )

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        attention: str = "concat",
        attention_bias: bool = False,
        dropout: float = 0.5,
        **trunk: Any,
    ):
        super().__init__(LAYOUTS["vgg19"], **trunk)
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
        """A, in (0, 1), from the map F; the mean comes first."""
        mean = jnp.mean(maps, axis=3, keepdims=True, dtype=jnp.float32)
        largest = maximum(maps, axis=3)[..., None].astype(jnp.float32)
        return jax.nn.sigmoid(self.spatial(jnp.concatenate([mean, largest], axis=3)))

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32.

        Args:
          images: preprocessed, of the size the model was built for.
          keys: one random key for each example, which dropout needs in training mode.
        """
        maps = self.feature_map(images)
        if self.attention != "none":
            gate = self.attention_map(maps).astype(maps.dtype)
            if self.attention == "concat":
                maps = jnp.concatenate([maps, gate], axis=3)
            else:
                maps = maps * gate
        x = self.dropout(maps.reshape(maps.shape[0], -1), keys)
        features = jax.nn.relu(self.fc1(x)).astype(jnp.float32)
        return self.fc2(features), features
