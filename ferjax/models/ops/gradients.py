"""Gradients that a compiler is made to write to memory."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

# Channels that fill one row of a TPU's vector unit; from here on XLA lays the channels along it.
LANES = 128


def in_memory(gradient: Array, dtype: jnp.dtype) -> Array:
    """The gradient rounded to `dtype`, an array that its readers find in memory.

    Where several kernels read a gradient, a compiler may otherwise write what it is computed from,
    and compute it again in each of them: in a convolution, once for every tap.
    """
    return lax.optimization_barrier(gradient.astype(dtype))
