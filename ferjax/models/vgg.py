"""VGG-11, 13, 16 and 19 (Simonyan and Zisserman 2015), with and without batch norm.

Graph and module names are torchvision's, so that its published weights load and give the same
outputs. Shapes: B batch, H W C image, h w map, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.errors import at_least
from ferjax.models.layers.basic import Conv, Dense, Dropout
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.model import Model
from ferjax.models.ops import convolution
from ferjax.models.registry import register

# Channels of the convolutions of each stage, at width 64; a max-pool ends a stage. These are
# configurations A, B, D and E of the paper.
LAYOUTS = {
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
POOLED = 7  # side of the classifier's input map


class VGGTrunk(Model):
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
        at_least("width", width, 1)
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
                index += 3 if batch_norm else 2  # torchvision numbers the ReLU too
                in_features = features
            stages.append(tuple(names))
            index += 1  # and the pooling
        self.features = nnx.Dict(layers)
        self.stages = tuple(stages)
        self.num_features = in_features
        self.dtype = dtype

    def normalised(self) -> Iterator[tuple[nnx.Module, nnx.Module]]:
        """Each convolution with the batch norm behind it."""
        for conv, norm in (pair for names in self.stages for pair in names):
            if norm is not None:
                yield self.features[conv], self.features[norm]

    def feature_map(self, images: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Returns the map after the last pooling, in the compute type."""
        x = images.astype(self.dtype)
        for stage, names in enumerate(self.stages, start=1):
            for conv, norm in names:
                x = self.features[conv](x)
                if norm is not None:
                    x = self.features[norm](x)
                x = jax.nn.relu(x)
            x = convolution.max_pool(x, window=2, stride=2, padding=0)
            x = self.record(f"stage{stage}", x)
        return x


@register(LAYOUTS)
class VGG(VGGTrunk):
    """A VGG that returns logits and the features they were computed from.

    Args:
      layout: as in `LAYOUTS`.
      num_classes: K; None builds the trunk alone.
      channels: image channels C.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type; parameters, statistics, features and logits are float32.
      batch_norm: batch norm between convolution and ReLU.
      width: channels of the first convolution; all other layers scale with it.
      dropout: rate of the two dropout layers of the classifier.
    """

    classifier_name = "classifier.6"
    least_image_size = 32

    def __init__(
        self,
        layout: tuple[tuple[int, ...], ...],
        *,
        num_classes: int | None,
        channels: int,
        groups: int,
        dtype: jnp.dtype,
        batch_norm: bool = False,
        width: int = 64,
        dropout: float = 0.5,
    ):
        super().__init__(
            layout,
            channels=channels,
            batch_norm=batch_norm,
            width=width,
            groups=groups,
            dtype=dtype,
        )
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
        """Returns (logits, features), float32, of the last map; `keys` as in `__call__`."""
        x = adaptive_average(maps, POOLED)
        # The inputs of torchvision's first dense layer are in the order channel, row, column.
        x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        for dense, dropout in (("0", "2"), ("3", "5")):
            x = self.classifier[dropout](jax.nn.relu(self.classifier[dense](x)), keys)
        features = self.record("features", x.astype(jnp.float32))
        return self.classifier["6"](features), features

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32.

        Args:
          images: preprocessed, at least 32x32.
          keys: one random key per example; dropout needs them in training mode.
        """
        return self.head(self.feature_map(images), keys)


def adaptive_average(maps: Float[Array, "B h w C"], size: int) -> Float[Array, "B s s C"]:
    """PyTorch's adaptive average pooling to size x size; windows may overlap or repeat."""
    _, height, width, _ = maps.shape
    if height == width == size:
        return maps
    rows = jnp.asarray(_windows(height, size), maps.dtype)
    columns = jnp.asarray(_windows(width, size), maps.dtype)
    return jnp.einsum("bhwc,ih,jw->bijc", maps, rows, columns)


def _windows(length: int, size: int) -> np.ndarray:
    """Weights [size, length] of each window, which spans floor(i n / s) to ceil((i + 1) n / s)."""
    weights = np.zeros((size, length))
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        weights[i, start:stop] = 1.0 / (stop - start)
    return weights
