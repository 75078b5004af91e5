"""Modules that a model adds to one whose weights are published, as attention to a ResNet.

A class of modules says which of its attributes such weights may lack. Where they lack all of them,
the additions start fresh; weights that have some of them are another model's, and are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import NamedTuple

from flax import nnx


@dataclasses.dataclass(frozen=True)
class Addition:
    """What a class of modules may lack in weights that a model starts from.

    Attributes:
      modules: names of attributes of the class, which hold modules or None.
      replaces: names of modules of the weights that these stand in for.
    """

    modules: tuple[str, ...]
    replaces: tuple[str, ...] = ()


class Absent(NamedTuple):
    """Additions of a model that weights lack.

    Attributes:
      modules: paths in the model, as "layer1.0.cbam", in its order.
      replaces: paths in the weights that have no place in the model then.
    """

    modules: tuple[str, ...]
    replaces: tuple[str, ...]


def absent(model: nnx.Module, names: Collection[str]) -> Absent:
    """The additions of a model of which weights have nothing at all.

    Each `Addition` that the classes of the model declare, in a class attribute `additions`, is
    looked for in the whole model at once, so that weights with the attention of some blocks lack
    nothing here: loading them lists what is missing.

    Args:
      model: takes the weights; may be abstract.
      names: of the weights.
    """
    found: dict[Addition, list[str]] = {}
    replaced: dict[Addition, list[str]] = {}
    for path, module in nnx.iter_modules(model):
        for addition in getattr(type(module), "additions", ()):
            held = [name for name in addition.modules if getattr(module, name, None) is not None]
            found.setdefault(addition, []).extend(_joined(path, name) for name in held)
            replaced.setdefault(addition, []).extend(_joined(path, n) for n in addition.replaces)
    lacking = [
        addition
        for addition, paths in found.items()
        if paths and not any(_is_inside(name, path) for name in names for path in paths)
    ]
    return Absent(
        tuple(sorted(path for addition in lacking for path in found[addition])),
        tuple(path for addition in lacking for path in replaced[addition]),
    )


def _is_inside(name: str, path: str) -> bool:
    return name.startswith(f"{path}.")


def _joined(path: tuple, name: str) -> str:
    return ".".join([*map(str, path), name])
