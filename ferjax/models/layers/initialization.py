"""Random initial weights, drawn for the whole model at once.

A layer declares the standard deviation of its kernel; `initialize` fills every declared kernel from
one draw. One draw per kernel would mean the same numbers, but a separate random generator to
compile for each of some sixty shapes.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from ferjax.models.layers.frozen import Frozen

# standard deviation of a standard normal variable cut at two of its standard deviations
TRUNCATED_STDDEV = 0.87962566103423978


def random_parameter(shape: tuple[int, ...], stddev: float) -> nnx.Param:
    """A float32 parameter of zeros that `initialize` fills with numbers of this deviation."""
    return nnx.Param(jnp.zeros(shape, jnp.float32), stddev=stddev)


def initialize(model: nnx.Module, key: Key[Array, ""]) -> None:
    """Fills every `random_parameter`, in place, from normal distributions cut at two deviations."""
    flat = nnx.to_flat_state(nnx.state(model, (nnx.Param, Frozen)))
    declared = [(path, variable) for path, variable in flat if "stddev" in variable.get_metadata()]
    layout = tuple((variable.shape, variable.stddev) for _, variable in declared)
    values = _draw(key, layout)
    updates = [
        (path, variable.replace(value))
        for (path, variable), value in zip(declared, values, strict=True)
    ]
    nnx.update(model, nnx.from_flat_state(updates))


@functools.partial(jax.jit, static_argnums=1)
def _draw(key: Array, layout: tuple[tuple[tuple[int, ...], float], ...]) -> list[Array]:
    sizes = [functools.reduce(int.__mul__, shape, 1) for shape, _ in layout]
    numbers = jax.random.truncated_normal(key, -2.0, 2.0, (sum(sizes),), jnp.float32)
    values, start = [], 0
    for (shape, stddev), size in zip(layout, sizes, strict=True):
        part = jax.lax.slice(numbers, (start,), (start + size,))
        values.append(part.reshape(shape) * (stddev / TRUNCATED_STDDEV))
        start += size
    return values
