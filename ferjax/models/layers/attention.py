"""Attention blocks: squeeze-and-excitation (SE), convolutional block attention module (CBAM).

SE (Hu et al. 2018, eq. 2-4), of a map F with C channels:

    s   = sigmoid(W2 relu(W1 AvgPool(F)))              W1: C -> C/16, W2: C/16 -> C
    F'  = s * F

CBAM (Woo et al. 2018, eq. 1-3):

    F'  = Mc(F) * F,   F'' = Ms(F') * F'                                                    (1)
    Mc(F) = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F)))   over positions; MLP: C -> C/16 -> C  (2)
    Ms(F) = sigmoid(BN(conv7x7([MaxPool(F); AvgPool(F)])))   over channels                    (3)

As in the authors' release, a batch norm follows the convolution of (3), and the maximum comes
first. Gates are computed in float32, so that they keep their precision in a bfloat16 network.
Shapes: B batch, H W map, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ferjax.models.layers.basic import Conv, Dense
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.initialization import Initializer, lecun_normal
from ferjax.models.layers.named import NamedModule
from ferjax.models.ops import affine
from ferjax.models.ops.affine import Affine
from ferjax.models.ops.gated import Gated
from ferjax.models.ops.maxima import mean_and_maximum

REDUCTION = 16


class SqueezeExcitation(NamedModule):
    """The channel gate of SE.

    Args:
      features: channels C.
      use_bias: biases in both dense layers, as in the authors' release.
      kernel_init: initializer of both kernels.
    """

    def __init__(
        self, features: int, *, use_bias: bool = True, kernel_init: Initializer = lecun_normal
    ):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden, use_bias=use_bias, kernel_init=kernel_init)
        self.fc2 = Dense(hidden, features, use_bias=use_bias, kernel_init=kernel_init)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """F' of F = x: every channel of every sample times its gate in (0, 1)."""
        squeezed = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        gate = jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(squeezed))))
        gate = self.record("gate", gate.astype(x.dtype))
        return x * gate[:, None, None, :]


class ChannelGate(NamedModule):
    """The channel gate of CBAM.

    Args:
      features: channels C.
    """

    def __init__(self, features: int):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden)
        self.fc2 = Dense(hidden, features)

    def __call__(self, maps: Affine) -> Float[Array, "B H W C"]:
        """F' = Mc(F) * F of F = maps, float32; F itself is never computed (see `ops.affine`)."""
        # One product for both, and the batch, which devices may share, stays the leading axis.
        both = jnp.stack(affine.pool(maps), axis=1)
        gate = jax.nn.sigmoid(jnp.sum(self.fc2(jax.nn.relu(self.fc1(both))), axis=1))
        gate = self.record("gate", gate)
        return affine.scale(maps, gate)


class SpatialGate(NamedModule):
    """The spatial gate of CBAM.

    The scale of its batch norm starts at 0, so that the gate starts at exactly 0.5 everywhere.

    Args:
      groups: groups of the batch with statistics of their own (see `BatchNorm`).
    """

    def __init__(self, *, groups: int = 1):
        self.conv = Conv(2, 1, 7, padding=3, dtype=jnp.dtype(jnp.float32))
        self.bn = BatchNorm(1, momentum=0.99, groups=groups, initial_scale=0.0)

    def normalised(self) -> Iterator[tuple[nnx.Module, nnx.Module]]:
        """The convolution with its batch norm."""
        yield self.conv, self.bn

    def __call__(self, x: Float[Array, "B H W C"], gradient_dtype: jnp.dtype) -> Gated:
        """F'' = Ms(F') * F' of F' = x, float32: every position of every sample times its gate.

        `gradient_dtype` is the compute type of the network; see `mean_and_maximum`.
        """
        average, largest = mean_and_maximum(x, axis=3, gradient_dtype=gradient_dtype)
        pooled = jnp.stack([largest, average], axis=3)
        gate = jax.nn.sigmoid(self.bn(self.conv(pooled)))
        gate = self.record("gate", gate, drop=3)
        return Gated(x, gate)


class CBAM(NamedModule):
    """The channel gate, then the spatial gate.

    Args:
      features: channels C.
      groups: groups of the batch with statistics of their own (see `BatchNorm`).
    """

    def __init__(self, features: int, *, groups: int = 1):
        self.channel = ChannelGate(features)
        self.spatial = SpatialGate(groups=groups)

    def __call__(self, maps: Affine) -> Gated:
        """F'' of F = maps, which `BatchNorm.affine` makes; neither is computed (`ops.gated`)."""
        return self.spatial(self.channel(maps), maps.x.dtype)
