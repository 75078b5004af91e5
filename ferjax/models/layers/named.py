"""Modules that know their path in the model, for compiled programs, profiles and intermediates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from ferjax.models import intermediates


class NamedModule(nnx.Module):
    """A module whose `__call__` runs in a named scope, as "layer1.0.conv1".

    Attributes:
      path: of the module in its model, set by `name_modules`; "" for a module without a model.
    """

    path: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in vars(cls):
            cls.__call__ = in_named_scope(vars(cls)["__call__"])  # type: ignore[method-assign]

    def record(self, name: str, value: Float[Array, "..."], *, drop: int | None = None) -> Array:
        """Records an intermediate of this module; see `intermediates.record`."""
        full_name = f"{self.path}.{name}" if self.path else name
        return intermediates.record(full_name, value, drop=drop)


def name_modules(model: nnx.Module) -> None:
    """Sets the `path` of every named module in a model."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, NamedModule):
            module.path = ".".join(map(str, path))


def in_named_scope(method: Callable[..., Any]) -> Callable[..., Any]:
    """Method decorator: the method's operations carry the path of its module in their metadata."""

    @functools.wraps(method)
    def scoped(self: NamedModule, *args: Any, **kwargs: Any) -> Any:
        if not self.path:
            return method(self, *args, **kwargs)
        with jax.named_scope(self.path):
            return method(self, *args, **kwargs)

    return scoped
