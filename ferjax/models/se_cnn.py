"""A small CNN with squeeze-and-excitation (Luo, luo2023).

Three blocks of [conv3x3, BN, ReLU, conv3x3, BN, ReLU, (SE), max-pool 2] of 64, 128 and 256 filters,
flattened (9,216 at 48x48x1), then dense 256, ReLU, dense K. By default batch norm is on and SE
gates once per block; `layers.attention` has SE's equation. Where the paper is silent, the defaults
of its framework, Keras, apply: Glorot-uniform kernels, zero biases. Shapes: B batch, H W C image,
h w map, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.errors import at_least, one_of
from ferjax.models.additions import Addition
from ferjax.models.layers.attention import SqueezeExcitation
from ferjax.models.layers.basic import Conv, Dense
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.initialization import glorot_uniform
from ferjax.models.layers.named import NamedModule
from ferjax.models.model import Model
from ferjax.models.ops import convolution
from ferjax.models.registry import register

ATTENTIONS = (None, "se")
SE_POSITIONS = ("block", "conv")
# Of batch norm in Keras, the paper's framework.
EPSILON, MOMENTUM = 1e-3, 0.99


class Block(NamedModule):
    """Two 3x3 convolutions, gated by SE after the second or after each, and a 2x2 max-pool.

    Weights of a CNN without gates load; the gates then start fresh.

    Args:
      in_features: input channels I.
      features: output channels O.
      gates: whether an SE gate follows the first and the second convolution.
      se_bias: biases in the gates.
      batch_norm: batch norm between convolution and ReLU.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type.
    """

    additions: ClassVar[tuple[Addition, ...]] = (Addition(("se1", "se2")),)

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        gates: tuple[bool, bool],
        se_bias: bool,
        batch_norm: bool,
        groups: int,
        dtype: jnp.dtype,
    ):
        def conv(width: int) -> Conv:
            return Conv(
                width,
                features,
                3,
                padding=1,
                use_bias=True,
                kernel_init=glorot_uniform,
                dtype=dtype,
            )

        def norm() -> BatchNorm | None:
            if not batch_norm:
                return None
            return BatchNorm(features, momentum=MOMENTUM, epsilon=EPSILON, groups=groups)

        def gate(wanted: bool) -> SqueezeExcitation | None:
            if not wanted:
                return None
            return SqueezeExcitation(features, use_bias=se_bias, kernel_init=glorot_uniform)

        self.conv1, self.bn1, self.se1 = conv(in_features), norm(), gate(gates[0])
        self.conv2, self.bn2, self.se2 = conv(features), norm(), gate(gates[1])

    def normalised(self) -> Iterator[tuple[nnx.Module, nnx.Module]]:
        """Each convolution with the batch norm behind it."""
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2)):
            if norm is not None:
                yield conv, norm

    def convolve(self, x: Float[Array, "B H W I"]) -> Float[Array, "B H W O"]:
        """Returns the map before the pooling."""
        layers = ((self.conv1, self.bn1, self.se1), (self.conv2, self.bn2, self.se2))
        for conv, norm, gate in layers:
            x = conv(x)
            if norm is not None:
                x = norm(x)
            x = jax.nn.relu(x)
            if gate is not None:
                x = gate(x)
        return x

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Returns the pooled map, half as large; an odd last row or column is dropped."""
        return convolution.max_pool(self.convolve(x), window=2, stride=2, padding=0)


@register("se_cnn")
class SECNN(Model):
    """The CNN of luo2023; D is four times the width.

    Args:
      num_classes: K.
      channels: image channels C.
      image_size: side of the images in pixels; the first dense layer has weights for each position.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type; parameters, statistics, features and logits are float32.
      attention: None or "none", or "se".
      se_position: "block" gates once per block, before its pooling, "conv" after every convolution.
      se_bias: biases in the gates.
      batch_norm: batch norm between convolution and ReLU.
      width: channels of the first block; the others have twice and four times as many.
    """

    classifier_name = "fc2"
    least_image_size = 8

    def __init__(
        self,
        *,
        num_classes: int,
        channels: int,
        image_size: int,
        groups: int,
        dtype: jnp.dtype,
        attention: str | None = "se",
        se_position: str = "block",
        se_bias: bool = True,
        batch_norm: bool = True,
        width: int = 64,
    ):
        attention = None if attention == "none" else attention
        one_of("attention", attention, ATTENTIONS)
        one_of("se_position", se_position, SE_POSITIONS)
        at_least("width", width, 1)
        gates = (attention == "se" and se_position == "conv", attention == "se")
        blocks, in_features = [], channels
        for features in (width, 2 * width, 4 * width):
            blocks.append(
                Block(
                    in_features,
                    features,
                    gates=gates,
                    se_bias=se_bias,
                    batch_norm=batch_norm,
                    groups=groups,
                    dtype=dtype,
                )
            )
            in_features = features
        self.blocks = nnx.List(blocks)
        flattened = (image_size // 8) ** 2 * in_features
        self.fc1 = Dense(flattened, 4 * width, kernel_init=glorot_uniform, dtype=dtype)
        self.fc2 = Dense(4 * width, num_classes, kernel_init=glorot_uniform)
        self.dtype = dtype

    def feature_map(self, images: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Returns the map after the last pooling, in the compute type."""
        x = images.astype(self.dtype)
        for index, block in enumerate(self.blocks):
            x = self.record(f"blocks.{index}", block(x))
        return x

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32; `keys` are not used."""
        x = self.feature_map(images)
        x = jax.nn.relu(self.fc1(x.reshape(x.shape[0], -1)))
        features = self.record("features", x.astype(jnp.float32))
        return self.fc2(features), features
