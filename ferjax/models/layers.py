"""Convolution and dense layers with float32 parameters and a chosen compute type.

Shapes: B batch, H W image, I input channels, O output channels.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ferjax.models import convolution
from ferjax.models.initialization import random_parameter


class Conv(nnx.Module):
    """A square 2-D convolution without bias, NHWC x HWIO, as every ResNet convolution is.

    Args:
      in_features: input channels I.
      out_features: output channels O.
      kernel_size: side of the kernel.
      stride: step in both directions.
      padding: zeros added on every side.
      dtype: the compute type; the kernel is stored in float32 and cast.

    The initial kernel is He-normal over the fan-out (He et al. 2015, eq. 14).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        dtype: jnp.dtype,
    ):
        shape = (kernel_size, kernel_size, in_features, out_features)
        stddev = math.sqrt(2.0 / (kernel_size**2 * out_features))
        self.kernel = random_parameter(shape, stddev)
        self.stride = stride
        self.padding = padding
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Convolves in the compute type."""
        kernel = self.kernel[...].astype(self.dtype)
        return convolution.conv2d(
            x.astype(self.dtype), kernel, stride=self.stride, padding=self.padding
        )


class Dense(nnx.Module):
    """An affine map computed in float32: attention gates and classifiers are small and delicate.

    Args:
      in_features: input width I.
      out_features: output width O.
      use_bias: whether to add a bias.

    The initial kernel has variance 1 / I (LeCun et al. 1998), the bias is zero.
    """

    def __init__(self, in_features: int, out_features: int, *, use_bias: bool = True):
        stddev = math.sqrt(1.0 / in_features)
        self.kernel = random_parameter((in_features, out_features), stddev)
        self.bias = nnx.Param(jnp.zeros((out_features,), jnp.float32)) if use_bias else None

    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """Maps float32 rows to float32 rows."""
        y = jnp.dot(x, self.kernel[...], precision=jax.lax.Precision.HIGHEST)
        return y if self.bias is None else y + self.bias[...][None, :]
