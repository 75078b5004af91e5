"""ResNet-18 and ResNet-34 (He et al. 2016) and ResNet-10, with optional attention in every block.

Graph, padding and module names are torchvision's, so that its published weights load and give the
same outputs. Shapes: B batch, H W C image, h w D map, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.errors import at_least, one_of
from ferjax.models import intermediates
from ferjax.models.additions import Addition
from ferjax.models.layers.attention import CBAM, SqueezeExcitation
from ferjax.models.layers.basic import Conv, Dense
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.named import NamedModule
from ferjax.models.model import Model
from ferjax.models.ops import gated
from ferjax.models.registry import register

STAGE_SIZES = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
# kernel, stride, whether a 3x3/2 max-pool follows
STEMS = {"imagenet": (7, 2, True), "small": (3, 1, False), "half": (3, 2, False)}
ATTENTIONS = (None, "se", "cbam")


class BasicBlock(NamedModule):
    """Two 3x3 convolutions and a shortcut; attention stands after the last BN, before the addition.

    Weights of a plain ResNet load; the attention then starts fresh.

    Args:
      in_features: input channels.
      features: output channels.
      stride: of the first convolution. The shortcut has a 1x1 convolution if the stride is not 1 or
        the number of channels changes.
      attention: None, "se" or "cbam".
      se_bias: biases in the squeeze-and-excitation gate.
      groups: groups of the batch with normalisation statistics of their own.
      dtype: compute type of convolutions and activations.
    """

    additions: ClassVar[tuple[Addition, ...]] = (Addition(("se",)), Addition(("cbam",)))

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        stride: int,
        attention: str | None,
        se_bias: bool,
        groups: int,
        dtype: jnp.dtype,
    ):
        self.conv1 = Conv(in_features, features, 3, stride=stride, padding=1, dtype=dtype)
        self.bn1 = BatchNorm(features, groups=groups)
        self.conv2 = Conv(features, features, 3, padding=1, dtype=dtype)
        self.bn2 = BatchNorm(features, groups=groups)
        self.se = SqueezeExcitation(features, use_bias=se_bias) if attention == "se" else None
        self.cbam = CBAM(features, groups=groups) if attention == "cbam" else None
        if stride != 1 or in_features != features:
            shortcut = Conv(in_features, features, 1, stride=stride, dtype=dtype)
            self.downsample = nnx.List([shortcut, BatchNorm(features, groups=groups)])
        else:
            self.downsample = nnx.List([])

    def normalised(self) -> Iterator[tuple[nnx.Module, nnx.Module]]:
        """Each convolution with the batch norm behind it."""
        yield self.conv1, self.bn1
        yield self.conv2, self.bn2
        if self.downsample:
            yield self.downsample[0], self.downsample[1]

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Returns relu(attention(residual(x)) + shortcut(x))."""
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = self.conv2(y)
        shortcut = x
        for layer in self.downsample:
            shortcut = layer(shortcut)
        if self.cbam is not None:
            # CBAM takes and returns maps that are not computed, for the sake of compilers.
            return gated.add_relu(self.cbam(self.bn2.affine(y)), shortcut)
        y = self.bn2(y)
        if self.se is not None:
            y = self.se(y)
        return jax.nn.relu(y + shortcut).astype(x.dtype)


@register(STAGE_SIZES)
class ResNet(Model):
    """A ResNet of basic blocks that returns logits and the features they were computed from.

    Args:
      stage_sizes: number of blocks in each of the four stages.
      num_classes: K; None builds the trunk alone.
      channels: image channels C.
      groups: groups of the batch with normalisation statistics of their own.
      remat: recompute each block in the backward pass instead of keeping its activations.
      dtype: compute type; parameters, statistics, features and logits are float32.
      stem: "imagenet" (7x7/2 and 3x3/2 max-pool), "small" (3x3/1) or "half" (3x3/2).
      attention: None or "none", "se" or "cbam".
      width: channels of the first stage; D is eight times as many.
      se_bias: biases in the squeeze-and-excitation gates.
    """

    classifier_name = "fc"
    least_image_size = 16
    at_first_pixel = True

    def __init__(
        self,
        stage_sizes: tuple[int, ...],
        *,
        num_classes: int | None,
        channels: int,
        groups: int,
        remat: bool,
        dtype: jnp.dtype,
        stem: str = "small",
        attention: str | None = None,
        width: int = 64,
        se_bias: bool = True,
    ):
        attention = None if attention == "none" else attention
        one_of("stem", stem, tuple(STEMS))
        one_of("attention", attention, ATTENTIONS)
        at_least("width", width, 1)
        kernel, stride, self.pool = STEMS[stem]
        self.conv1 = Conv(channels, width, kernel, stride=stride, padding=kernel // 2, dtype=dtype)
        self.bn1 = BatchNorm(width, groups=groups)
        stages, in_features = [], width
        for stage, num_blocks in enumerate(stage_sizes):
            features = width * 2**stage
            blocks = []
            for index in range(num_blocks):
                block = BasicBlock(
                    in_features,
                    features,
                    stride=2 if stage > 0 and index == 0 else 1,
                    attention=attention,
                    se_bias=se_bias,
                    groups=groups,
                    dtype=dtype,
                )
                blocks.append(block)
                in_features = features
            stages.append(nnx.List(blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.num_features = in_features
        if num_classes is not None:
            self.fc = Dense(in_features, num_classes)
        self.dtype = dtype
        self.remat = remat

    @classmethod
    def supports_remat(cls, options: Mapping[str, Any]) -> bool:
        """True: each block can be computed again."""
        return True

    def normalised(self) -> Iterator[tuple[nnx.Module, nnx.Module]]:
        """The stem's convolution with its batch norm."""
        yield self.conv1, self.bn1

    def feature_map(self, images: Float[Array, "B H W C"]) -> Float[Array, "B h w D"]:
        """Returns the last convolutional map, in the compute type."""
        # Intermediates cannot leave a block that is computed again.
        remat = self.remat and not intermediates.is_recording()
        x = self.conv1(images.astype(self.dtype))
        # ReLU after max-pooling gives the same values as before it, on fewer of them.
        x = self.bn1.max_pool(x, window=3, stride=2, padding=1) if self.pool else self.bn1(x)
        x = jax.nn.relu(x)
        for name in ("layer1", "layer2", "layer3", "layer4"):
            for block in getattr(self, name):
                x = nnx.remat(BasicBlock.__call__)(block, x) if remat else block(x)
            x = self.record(name, x)
        return x

    def head(
        self, maps: Float[Array, "B h w D"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits, features), float32, of the last map; `keys` are not used."""
        features = jnp.mean(maps, axis=(1, 2), dtype=jnp.float32)
        features = self.record("features", features)
        return self.fc(features), features

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32; features are the pooled map.

        A ResNet draws nothing at random and ignores `keys`.
        """
        return self.head(self.feature_map(images), keys)
