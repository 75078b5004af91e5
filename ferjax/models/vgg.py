"""VGG-11, 13, 16 and 19 (Simonyan and Zisserman 2015), with and without batch norm.

The graph is torchvision's, so that weights published for it load and give the same outputs; module
names follow it too. Shapes: B batch, H W C image, D features, K classes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.models.layers.basic import Conv, Dense, Dropout
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.named import NamedModule
from ferjax.models.ops import convolution

# Channels of the convolutions between one pooling and the next, at width 64: configurations A, B,
# D and E of the paper.
LAYOUTS = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
POOLED = 7  # side of the map that the classifier sees


class VGGTrunk(NamedModule):
    """The convolutional layers, `features` in torchvision.

    Args:
      layout: as in `LAYOUTS`.
      channels: image channels C.
      batch_norm: batch norm between convolution and ReLU.
      width: channels of the first convolution; the others scale with it.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type.
    """

    def __init__(
        self,
        layout: tuple[tuple[int, ...], ...],
        *,
        channels: int,
        batch_norm: bool,
        width: int,
        groups: int,
        dtype: jnp.dtype,
    ):
        layers: dict[str, nnx.Module] = {}
        stages, in_features, index = [], channels, 0
        for stage in layout:
            names = []
            for wide in stage:
                features = wide * width // 64
                conv = Conv(in_features, features, 3, padding=1, use_bias=True, dtype=dtype)
                layers[str(index)] = conv
                names.append((str(index), str(index + 1) if batch_norm else None))
                if batch_norm:
                    layers[str(index + 1)] = BatchNorm(features, groups=groups)
                index += 3 if batch_norm else 2  # the ReLU has a number too
                in_features = features
            stages.append(tuple(names))
            index += 1  # and so has the pooling
        self.features = nnx.Dict(layers)
        self.stages = tuple(stages)
        self.num_features = in_features
        self.dtype = dtype

    def feature_map(self, images: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Returns the map after the last pooling, in the compute type."""
        x = images.astype(self.dtype)
        for names in self.stages:
            for conv, norm in names:
                x = self.features[conv](x)
                if norm is not None:
                    x = self.features[norm](x)
                x = jax.nn.relu(x)
            x = convolution.max_pool(x, window=2, stride=2, padding=0)
        return x


class VGG(VGGTrunk):
    """A VGG that returns logits and the features they were computed from.

    Args:
      layout: as in `LAYOUTS`.
      num_classes: K; None builds the trunk alone.
      dropout: rate of the two dropout layers of the classifier.
      **trunk: keywords of `VGGTrunk`.
    """

    def __init__(
        self,
        layout: tuple[tuple[int, ...], ...],
        *,
        num_classes: int | None,
        dropout: float = 0.5,
        **trunk: Any,
    ):
        super().__init__(layout, **trunk)
        if num_classes is not None:
            hidden = 4096 * self.num_features // 512
            self.classifier = nnx.Dict(
                {
                    "0": Dense(POOLED**2 * self.num_features, hidden, dtype=self.dtype),
                    "2": Dropout(dropout, salt=0),
                    "3": Dense(hidden, hidden, dtype=self.dtype),
                    "5": Dropout(dropout, salt=1),
                    "6": Dense(hidden, num_classes),
                }
            )

    def head(
        self, maps: Float[Array, "B h w C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Logits and features, float32, from the last map."""
        x = adaptive_average(maps, POOLED)
        # torchvision numbers the inputs of the first dense layer channel by channel.
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        for dense, dropout in (("0", "2"), ("3", "5")):
            x = self.classifier[dropout](jax.nn.relu(self.classifier[dense](x)), keys)
        features = x.astype(jnp.float32)
        return self.classifier["6"](features), features

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32.

        Args:
          images: preprocessed, at least 32x32.
          keys: one random key for each example, which dropout needs in training mode.
        """
        return self.head(self.feature_map(images), keys)


def adaptive_average(maps: Float[Array, "B h w C"], size: int) -> Float[Array, "B s s C"]:
    """PyTorch's adaptive average pooling to a map of `size`: windows may overlap or repeat."""
    _, height, width, _ = maps.shape
    if height == width == size:
        return maps
    rows = jnp.asarray(_windows(height, size), maps.dtype)
    columns = jnp.asarray(_windows(width, size), maps.dtype)
    return jnp.einsum("bhwc,ih,jw->bijc", maps, rows, columns)


def _windows(length: int, size: int) -> np.ndarray:
    """[size, length]: the weights of each window, from floor(i n / s) to ceil((i + 1) n / s)."""
    weights = np.zeros((size, length))
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        weights[i, start:stop] = 1.0 / (stop - start)
    return weights
