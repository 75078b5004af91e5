"""The models by name. A file registers its class; the keywords of the class are the options.

All models share the keywords that are named as the fields of `Common`, or `common` for all of them.
Every other keyword of a constructor is an option of the model, with its default.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp

from ferjax.errors import UserError, at_least, nearest, one_of
from ferjax.models.model import Model


@dataclasses.dataclass(frozen=True)
class Common:
    """What every model is built from; see `models.create`.

    Attributes:
      num_classes: K; None builds a trunk without its classifier.
      channels: image channels C, 1 or 3.
      image_size: side of the images in pixels.
      groups: groups of the batch with normalisation statistics of their own.
      remat: whether ResNets recompute activations in the backward pass.
      dtype: the compute type.
    """

    num_classes: int | None
    channels: int
    image_size: int
    groups: int
    remat: bool
    dtype: jnp.dtype


_SHARED = (*(field.name for field in dataclasses.fields(Common)), "common")


class _Entry(NamedTuple):
    """A registered class, and the table of its first argument by name, if it takes one."""

    model: type[Model]
    table: Mapping[str, Any] | None

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.model.__init__).parameters


_ENTRIES: dict[str, _Entry] = {}
_Class = TypeVar("_Class", bound=type[Model])


def register(names: str | Mapping[str, Any]) -> Callable[[_Class], _Class]:
    """Class decorator: the class builds the models of these names.

    Args:
      names: one name; or name -> first argument of the constructor, as a table of layouts. The
        table is read whenever a model is built.
    """
    table = None if isinstance(names, str) else names

    def add(model: _Class) -> _Class:
        for name in (names,) if isinstance(names, str) else names:
            _ENTRIES[name] = _Entry(model, table)
        return model

    return add


def names() -> tuple[str, ...]:
    """The names of all models, in the order of their registration."""
    return tuple(_ENTRIES)


def model_class(name: str) -> type[Model]:
    """The class of the model `name`, with the facts that `Model` lists; no weights are built.

    Raises:
      UserError: no such model.
    """
    one_of("model", name, names())
    return _ENTRIES[name].model


@functools.cache
def options(name: str) -> dict[str, Any]:
    """The options of the model `name` with their defaults, in the order of its constructor.

    Raises:
      UserError: no such model.
    """
    one_of("model", name, names())
    own = (p for p in _ENTRIES[name].parameters.values() if p.kind is p.KEYWORD_ONLY)
    return {p.name: p.default for p in own if p.name not in _SHARED}


def build(name: str, common: Common, **chosen: Any) -> Model:
    """Builds a model whose random weights are still zeros.

    Raises:
      UserError: an option that the model does not have, or a value that it refuses.
    """
    known = options(name)
    for option in chosen:
        if option not in known:
            raise UserError(
                f"{name} has no option {option!r}; it has {', '.join(known)}."
                + nearest(option, tuple(known))
            )
    entry = _ENTRIES[name]
    if common.remat and not entry.model.supports_remat({**known, **chosen}):
        raise UserError(
            f"model.remat is True, but {name} has no ResNet in it. Its first layers alone decide "
            "how much memory it takes, and computing them twice saves none; use a smaller batch, "
            "or optimizer.accumulation_steps."
        )
    if entry.model.least_image_size is not None:
        at_least("image_size", common.image_size, entry.model.least_image_size)
    offered = {**vars(common), "common": common}
    shared = {field: offered[field] for field in _SHARED if field in entry.parameters}
    first = () if entry.table is None else (entry.table[name],)
    return entry.model(*first, **shared, **chosen)
