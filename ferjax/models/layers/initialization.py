"""Random initial weights, drawn for the whole model at once.

A layer declares the distribution of its kernel; `initialize` fills all declared kernels from one
draw of each distribution. One draw per kernel would do as well, but would compile a separate random
generator for each of some sixty shapes.

Kernels have the shape (..., I, O): the receptive field of a convolution, input and output channels.
Its fan-in is field x I, its fan-out field x O.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from ferjax.models.layers.frozen import Frozen

# Standard deviation of a standard normal variable truncated at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978

# Shape of a kernel -> parameter whose distribution is declared.
Initializer = Callable[[tuple[int, ...]], nnx.Param]


def he_normal(shape: tuple[int, ...]) -> nnx.Param:
    """Variance 2 / fan-out (He et al. 2015, eq. 14)."""
    return random_parameter(shape, math.sqrt(2.0 / _fans(shape)[1]))


def lecun_normal(shape: tuple[int, ...]) -> nnx.Param:
    """Variance 1 / fan-in (LeCun et al. 1998)."""
    return random_parameter(shape, math.sqrt(1.0 / _fans(shape)[0]))


def glorot_uniform(shape: tuple[int, ...]) -> nnx.Param:
    """Uniform within +- sqrt(6 / (fan-in + fan-out)) (Glorot & Bengio 2010, eq. 16)."""
    return random_parameter(shape, math.sqrt(2.0 / sum(_fans(shape))), uniform=True)


def random_parameter(shape: tuple[int, ...], stddev: float, *, uniform: bool = False) -> nnx.Param:
    """A float32 parameter of zeros that `initialize` fills with random numbers.

    Args:
      shape: of the parameter.
      stddev: standard deviation of the numbers.
      uniform: a uniform distribution, instead of a normal one truncated at two deviations.
    """
    return nnx.Param(jnp.zeros(shape, jnp.float32), stddev=stddev, uniform=uniform)


def initialize(model: nnx.Module, key: Key[Array, ""]) -> None:
    """Fills every `random_parameter`, in place."""
    flat = nnx.to_flat_state(nnx.state(model, (nnx.Param, Frozen)))
    declared = [(path, variable) for path, variable in flat if "stddev" in variable.get_metadata()]
    layout = tuple((variable.shape, variable.stddev, variable.uniform) for _, variable in declared)
    values = _draw(key, layout)
    updates = [
        (path, variable.replace(value))
        for (path, variable), value in zip(declared, values, strict=True)
    ]
    nnx.update(model, nnx.from_flat_state(updates))


@functools.partial(jax.jit, static_argnums=1)
def _draw(key: Array, layout: tuple[tuple[tuple[int, ...], float, bool], ...]) -> list[Array]:
    kinds = sorted({uniform for _, _, uniform in layout})
    keys = [key] if len(kinds) == 1 else jax.random.split(key)
    # The numbers of each distribution, and how many of them are used.
    numbers, start = {}, dict.fromkeys(kinds, 0)
    for uniform, own in zip(kinds, keys, strict=True):
        size = sum(math.prod(shape) for shape, _, kind in layout if kind == uniform)
        numbers[uniform] = _uniform(own, size) if uniform else _normal(own, size)
    values = []
    for shape, stddev, uniform in layout:
        first, size = start[uniform], math.prod(shape)
        part = jax.lax.slice(numbers[uniform], (first,), (first + size,))
        values.append(part.reshape(shape) * (stddev / (1.0 if uniform else TRUNCATED_STDDEV)))
        start[uniform] += size
    return values


def _normal(key: Array, size: int) -> Array:
    return jax.random.truncated_normal(key, -2.0, 2.0, (size,), jnp.float32)


def _uniform(key: Array, size: int) -> Array:
    reach = math.sqrt(3.0)
    return jax.random.uniform(key, (size,), jnp.float32, -reach, reach)


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]
