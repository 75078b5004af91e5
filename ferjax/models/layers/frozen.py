"""Parameters that training leaves alone."""

from __future__ import annotations

from flax import nnx


class Frozen(nnx.Variable):
    """A parameter that no optimizer sees: it is part of a model's weights, not of its gradient."""


def freeze(module: nnx.Module) -> None:
    """Turns every parameter of `module` into a `Frozen` one, in place."""
    for _, node in nnx.iter_modules(module):
        for name, value in list(vars(node).items()):
            if isinstance(value, nnx.Param):
                metadata = value.get_metadata()
                setattr(node, name, Frozen(value[...], **metadata))
