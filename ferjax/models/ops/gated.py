"""Feature maps and their spatial gate, kept in two parts for the compiler.

A residual block multiplies the map by the gate, adds the shortcut and applies a ReLU. As one
function with its own gradient, the gradient behind the ReLU is written once, by the kernel that
makes it, together with the gradient of the gate.

Shapes: B batch, H W map, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.models.ops.gradients import in_memory


class Gated(NamedTuple):
    """The map gate * maps, which is not computed.

    Attributes:
      maps: float32.
      gate: float32, for each position of each sample.
    """

    maps: Float[Array, "B H W C"]
    gate: Float[Array, "B H W 1"]


def add_relu(gated: Gated, shortcut: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Plain form: `relu(gate * maps + shortcut)`, in the type of the shortcut; reverse mode only.

    The gradients of maps and shortcut are rounded to that type.
    """
    return _add_relu(gated.maps, gated.gate, shortcut)


@jax.custom_vjp
def _add_relu(maps: Array, gate: Array, shortcut: Array) -> Array:
    return jax.nn.relu(maps * gate + shortcut.astype(jnp.float32)).astype(shortcut.dtype)


def _forward(maps: Array, gate: Array, shortcut: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    y = _add_relu(maps, gate, shortcut)
    return y, (maps, gate, y)


def _backward(residuals: tuple[Array, Array, Array], gradient: Array) -> tuple[Array, Array, Array]:
    maps, gate, y = residuals
    passed = jnp.where(y > 0, gradient, 0)
    gate_gradient = jnp.sum(passed.astype(jnp.float32) * maps, axis=3, keepdims=True)
    passed = in_memory(passed, y.dtype)
    return passed.astype(jnp.float32) * gate, gate_gradient, passed


_add_relu.defvjp(_forward, _backward)
