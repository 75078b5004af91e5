"""Attention blocks: squeeze-and-excitation and the convolutional block attention module.

Shapes: B batch, H W map, C channels. Gates are computed in float32, so that they keep their
precision in a bfloat16 network. CBAM also applies them in float32, of which a compiler that joins
the loops over a map writes nothing to memory.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.models.layers.basic import Conv, Dense
from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.layers.initialization import Initializer, lecun_normal
from ferjax.models.layers.named import NamedModule
from ferjax.models.ops.maxima import gradient_in_memory, maximum, mean_and_maximum

REDUCTION = 16
# Channels that fill a row of a TPU's vector unit, in which XLA then lays them.
LANES = 128


class SqueezeExcitation(NamedModule):
    """Channel gate of Hu et al. 2018, eq. 2-4: sigmoid(W2 relu(W1 avgpool(x))) * x.

    Args:
      features: channels C.
      use_bias: biases in both dense layers, as in the authors' release.
      kernel_init: how the kernels of both start.
    """

    def __init__(
        self, features: int, *, use_bias: bool = True, kernel_init: Initializer = lecun_normal
    ):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden, use_bias=use_bias, kernel_init=kernel_init)
        self.fc2 = Dense(hidden, features, use_bias=use_bias, kernel_init=kernel_init)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales every channel of every sample by its gate in (0, 1)."""
        squeezed = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        gate = jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(squeezed))))
        return x * gate.astype(x.dtype)[:, None, None, :]


class ChannelGate(NamedModule):
    """Channel attention of Woo et al. 2018, eq. 2: sigmoid(MLP(avgpool x) + MLP(maxpool x)) * x.

    Args:
      features: channels C.
    """

    def __init__(self, features: int):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden)
        self.fc2 = Dense(hidden, features)

    def __call__(
        self,
        x: Float[Array, "B H W C"],
        slope: Float[Array, "B C"],
        offset: Float[Array, "B C"],
    ) -> Float[Array, "B H W C"]:
        """Scales every channel of every sample of slope x + offset by its gate in (0, 1).

        One affine map does both, so that slope x + offset alone is never written, and the gradients
        of gate, slope and offset come from the same two sums over each channel of each sample.
        """
        batch, _, _, channels = x.shape
        rows = x.reshape(batch, -1, channels)
        # Where the slope is negative, the least x becomes the largest value.
        sign = jnp.where(slope < 0, -1.0, 1.0)
        turned = rows * sign[:, None, :].astype(x.dtype)
        largest = maximum(turned, axis=1).astype(jnp.float32) * (sign * slope) + offset
        x = x.astype(jnp.float32)
        average = jnp.mean(rows, axis=1, dtype=jnp.float32) * slope + offset
        gate = jax.nn.sigmoid(self._mlp(average) + self._mlp(largest))
        return x * (slope * gate)[:, None, None, :] + (offset * gate)[:, None, None, :]

    def _mlp(self, pooled: Float[Array, "B C"]) -> Float[Array, "B C"]:
        return self.fc2(jax.nn.relu(self.fc1(pooled)))


class SpatialGate(NamedModule):
    """Spatial attention of Woo et al. 2018, eq. 3, as in the authors' release.

    sigmoid(BN(conv7x7([max_C x, mean_C x]))) * x, with the maximum first. The batch norm's scale
    starts at 0, so that the gate starts at exactly 0.5 everywhere.

    Args:
      groups: groups of the batch with statistics of their own (see `BatchNorm`).
    """

    def __init__(self, *, groups: int = 1):
        self.conv = Conv(2, 1, 7, padding=3, dtype=jnp.dtype(jnp.float32))
        self.bn = BatchNorm(1, momentum=0.99, groups=groups, initial_scale=0.0)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales every position of every sample by its gate in (0, 1)."""
        average, largest = mean_and_maximum(x, axis=3)
        pooled = jnp.stack([largest, average], axis=3)
        return x * jax.nn.sigmoid(self.bn(self.conv(pooled)))


class CBAM(NamedModule):
    """Convolutional block attention module of Woo et al. 2018: channel gate, then spatial gate.

    Args:
      features: channels C.
      groups: groups of the batch with statistics of their own (see `BatchNorm`).
    """

    def __init__(self, features: int, *, groups: int = 1):
        self.channel = ChannelGate(features)
        self.spatial = SpatialGate(groups=groups)

    def __call__(self, x: Float[Array, "B H W C"], norm: BatchNorm) -> Float[Array, "B H W C"]:
        """Applies both gates, eq. 1 of the paper, to norm(x); float32 throughout."""
        slope, offset = (
            jnp.repeat(term, x.shape[0] // term.shape[0], axis=0) for term in norm.affine(x)
        )
        gated = self.channel(x, slope, offset)
        if x.shape[3] >= LANES:
            gated = gradient_in_memory(gated, x.dtype)
        return self.spatial(gated)
