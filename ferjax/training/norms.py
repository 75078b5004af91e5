"""The norm of all parameters or gradients, in few kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PyTree

# Arrays of fewer elements are joined before they are summed.
SMALL = 8192


def norm(tree: PyTree) -> Float[Array, ""]:
    """The Euclidean norm of all elements of a tree of float32 arrays.

    GPUs take two kernels to sum an array of many elements, and one to sum its rows. The rows' sums
    and all small arrays are then summed together. TPUs sum each array beside its update.
    """
    leaves = jax.tree.leaves(tree)
    if not leaves:
        return jnp.zeros(())
    return jnp.sqrt(lax.platform_dependent(*leaves, tpu=_separately, default=_by_rows))


def _separately(*leaves: Array) -> Array:
    return sum((jnp.sum(jnp.square(leaf)) for leaf in leaves), jnp.zeros(()))


def _by_rows(*leaves: Array) -> Array:
    squares = [jnp.square(leaf) for leaf in leaves]
    parts = [
        square.ravel() if square.size < SMALL else jnp.sum(square, axis=-1).ravel()
        for square in squares
    ]
    # Otherwise XLA sums each part for itself again.
    return jnp.sum(lax.optimization_barrier(jnp.concatenate(parts)))
