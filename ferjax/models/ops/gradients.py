"""Gradients that a compiler is made to write to memory, and what that depends on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

# Elements of one row of a TPU's vector unit. XLA lays the channels of a map along it if there are
# as many, or if a device has fewer images; otherwise the images.
LANES = 128


def of_a_device(batch: int) -> int:
    """How many images of a batch each device has, while a step for several devices is traced.

    Arrays have the global shape there. The devices are those of the mesh in whose context the step
    is traced (`compiled_step.training`), and one without.
    """
    return batch // max(jax.sharding.get_abstract_mesh().size, 1)


def in_memory(gradient: Array, dtype: jnp.dtype) -> Array:
    """The gradient rounded to `dtype`, an array that its readers find in memory.

    Where several kernels read a gradient, a compiler may otherwise write what it is computed from,
    and compute it again in each of them: in a convolution, once for every tap.
    """
    return lax.optimization_barrier(gradient.astype(dtype))
