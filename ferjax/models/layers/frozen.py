"""Parameters that training does not change."""

from __future__ import annotations

from flax import nnx


class Frozen(nnx.Variable):
    """A parameter without a gradient: part of the weights, unknown to the optimizer."""


def freeze(module: nnx.Module) -> None:
    """Turns every parameter of `module` into a `Frozen` one, in place."""
    for _, node in nnx.iter_modules(module):
        for name, value in list(vars(node).items()):
            if isinstance(value, nnx.Param):
                metadata = value.get_metadata()
                setattr(node, name, Frozen(value[...], **metadata))
