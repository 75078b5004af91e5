"""Attention blocks: squeeze-and-excitation and the convolutional block attention module.

Shapes: B batch, H W map, C channels. Gates are computed in float32 and applied in the type of the
map, so that a bfloat16 network keeps its bandwidth and its gates keep their precision.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ferjax.models.layers import Conv, Dense
from ferjax.models.norm import BatchNorm

REDUCTION = 16


def maximum(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Maximum along one axis; the first of equal maxima takes the gradient.

    The gradient goes by position. That of `jnp.max` compares x with its maximum, and a compiler
    that computes x twice, rounded differently in two fused kernels, then finds no element equal:
    on CPUs the gradient was lost, or divided by zero.
    """
    index = jnp.expand_dims(jax.lax.stop_gradient(jnp.argmax(x, axis=axis)), axis)
    chosen = jax.lax.broadcasted_iota(index.dtype, x.shape, axis) == index
    return jnp.sum(jnp.where(chosen, x, 0), axis=axis)


class SqueezeExcitation(nnx.Module):
    """Channel gate of Hu et al. 2018, eq. 2-4: sigmoid(W2 relu(W1 avgpool(x))) * x.

    Args:
      features: channels C.
      use_bias: biases in both dense layers, as in the authors' release.
    """

    def __init__(self, features: int, *, use_bias: bool = True):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden, use_bias=use_bias)
        self.fc2 = Dense(hidden, features, use_bias=use_bias)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales every channel of every sample by its gate in (0, 1)."""
        squeezed = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        gate = jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(squeezed))))
        return x * gate.astype(x.dtype)[:, None, None, :]


class ChannelGate(nnx.Module):
    """Channel attention of Woo et al. 2018, eq. 2: sigmoid(MLP(avgpool x) + MLP(maxpool x)) * x.

    Args:
      features: channels C.
    """

    def __init__(self, features: int):
        hidden = max(features // REDUCTION, 1)
        self.fc1 = Dense(features, hidden)
        self.fc2 = Dense(hidden, features)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Scales every channel of every sample by its gate in (0, 1)."""
        average = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
        batch, _, _, channels = x.shape
        largest = maximum(x.reshape(batch, -1, channels), axis=1).astype(jnp.float32)
        gate = jax.nn.sigmoid(self._mlp(average) + self._mlp(largest))
        return x * gate.astype(x.dtype)[:, None, None, :]

    def _mlp(self, pooled: Float[Array, "B C"]) -> Float[Array, "B C"]:
        return self.fc2(jax.nn.relu(self.fc1(pooled)))


class SpatialGate(nnx.Module):
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
        largest = maximum(x, axis=3)[..., None].astype(jnp.float32)
        average = jnp.mean(x, axis=3, keepdims=True, dtype=jnp.float32)
        gate = jax.nn.sigmoid(self.bn(self.conv(jnp.concatenate([largest, average], axis=3))))
        return x * gate.astype(x.dtype)


class CBAM(nnx.Module):
    """Convolutional block attention module of Woo et al. 2018: channel gate, then spatial gate.

    Args:
      features: channels C.
      groups: groups of the batch with statistics of their own (see `BatchNorm`).
    """

    def __init__(self, features: int, *, groups: int = 1):
        self.channel = ChannelGate(features)
        self.spatial = SpatialGate(groups=groups)

    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Applies both gates, eq. 1 of the paper."""
        return self.spatial(self.channel(x))
