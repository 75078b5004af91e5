"""Convolution, dense and dropout layers: float32 parameters, a compute type of choice.

Shapes: B batch, H W image, I input channels, O output channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.models.layers.initialization import Initializer, he_normal, lecun_normal
from ferjax.models.layers.named import NamedModule
from ferjax.models.ops import convolution


class Conv(NamedModule):
    """A square 2-D convolution, NHWC x HWIO.

    Args:
      in_features: input channels I.
      out_features: output channels O.
      kernel_size: side of the kernel.
      stride: step in both directions.
      padding: zeros added on every side.
      use_bias: whether to add a bias.
      kernel_init: initializer of the kernel; the bias starts at zero.
      dtype: the compute type, to which the float32 parameters are cast.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        use_bias: bool = False,
        kernel_init: Initializer = he_normal,
        dtype: jnp.dtype,
    ):
        self.kernel = kernel_init((kernel_size, kernel_size, in_features, out_features))
        self.bias = nnx.Param(jnp.zeros((out_features,), jnp.float32)) if use_bias else None
        self.stride = stride
        self.padding = padding
        self.dtype = dtype

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Convolves in the compute type."""
        kernel = self.kernel[...].astype(self.dtype)
        y = convolution.conv2d(
            x.astype(self.dtype), kernel, stride=self.stride, padding=self.padding
        )
        return (
            y if self.bias is None else y + self.bias[...].astype(self.dtype)[None, None, None, :]
        )


class Dense(NamedModule):
    """A dense layer along the last axis.

    Args:
      in_features: input width I.
      out_features: output width O.
      use_bias: whether to add a bias.
      kernel_init: initializer of the kernel; the bias starts at zero.
      dtype: the compute type; None computes in float32 at full precision, for attention gates and
        classifiers, which are small and sensitive to rounding.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: Initializer = lecun_normal,
        dtype: jnp.dtype | None = None,
    ):
        self.kernel = kernel_init((in_features, out_features))
        self.bias = nnx.Param(jnp.zeros((out_features,), jnp.float32)) if use_bias else None
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*rows I"]) -> Float[Array, "*rows O"]:
        """Maps the last axis, in the compute type."""
        if self.dtype is None:
            y = jnp.dot(x, self.kernel[...], precision=jax.lax.Precision.HIGHEST)
        else:
            y = jnp.dot(x.astype(self.dtype), self.kernel[...].astype(self.dtype))
        if self.bias is None:
            return y
        return y + self.bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


class Dropout(NamedModule):
    """Dropout (Srivastava et al. 2014) with one random key per example.

    The mask of an example does not depend on its batch.

    Args:
      rate: probability that a value is set to zero; the others are divided by 1 - rate.
      salt: a number that differs between the dropout layers of a model, so that their masks do.
    """

    def __init__(self, rate: float, *, salt: int):
        self.rate = rate
        self.salt = salt
        self.deterministic = False

    def __call__(
        self, x: Float[Array, "B *rest"], keys: Key[Array, " B"] | None
    ) -> Float[Array, "B *rest"]:
        """Drops values in training mode, where `keys` are required.

        Raises:
          ValueError: training mode without keys.
        """
        if self.deterministic or self.rate == 0.0:
            return x
        if keys is None:
            raise ValueError("dropout in training mode needs keys=, one random key per example")

        def keep(key: Array) -> Array:
            return jax.random.bernoulli(
                jax.random.fold_in(key, self.salt), 1.0 - self.rate, x.shape[1:]
            )

        return jnp.where(jax.vmap(keep)(keys), x / (1.0 - self.rate), 0).astype(x.dtype)
