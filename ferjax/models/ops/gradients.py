"""Identity functions that change how a compiler computes a gradient."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Channels that fill one row of a TPU's vector unit; from here on XLA lays the channels along it.
LANES = 128


def gradient_in_memory(x: Float[Array, "... C"], dtype: jnp.dtype) -> Float[Array, "... C"]:
    """Returns x. Its gradient is rounded to `dtype` and written to memory once.

    Plain form: x. Several kernels read the gradient of a gated map. A compiler otherwise computes
    an expensive gradient again in each of them, and in a convolution once for every tap. A map with
    fewer than `LANES` channels is returned as it is, without any effect on its gradient.
    """
    return x if x.shape[-1] < LANES else _gradient_in_memory(x, dtype)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _gradient_in_memory(x: Array, dtype: jnp.dtype) -> Array:
    return x


def _forward(x: Array, dtype: jnp.dtype) -> tuple[Array, None]:
    return x, None


def _backward(dtype: jnp.dtype, _: None, gradient: Array) -> tuple[Array]:
    return (lax.optimization_barrier(gradient.astype(dtype)).astype(gradient.dtype),)


_gradient_in_memory.defvjp(_forward, _backward)
