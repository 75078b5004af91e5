"""Modules whose operations carry their name into compiled programs and profiles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


class NamedModule(nnx.Module):
    """A module that computes under its own name, as "layer1.0.conv1".

    Attributes:
      path: its place in the model, which `name_modules` sets; without it there is no name.
    """

    path: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            cls.__call__ = _named(vars(cls)["__call__"])  # type: ignore[method-assign]


def name_modules(model: nnx.Module) -> None:
    """Tells every named module inside a model its place in it."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, NamedModule):
            module.path = ".".join(map(str, path))


def _named(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def under_name(self: NamedModule, *args: Any, **kwargs: Any) -> Any:
        if not self.path:
            return call(self, *args, **kwargs)
        with jax.named_scope(self.path):
            return call(self, *args, **kwargs)

    return under_name
