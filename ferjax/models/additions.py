"""Modules that a model adds to a published architecture, as attention to a ResNet.

Published weights have no arrays for these modules. A class declares them in its attribute
`additions`. If weights have none of them, they start fresh. Weights that have only some of them
belong to another model, and are refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import NamedTuple

from flax import nnx


@dataclasses.dataclass(frozen=True)
class Addition:
    """Modules of a class for which initial weights may have no arrays.

    Attributes:
      modules: names of attributes of the class, which hold modules or None.
      replaces: names of the modules that stand in their place in the published architecture.
    """

    modules: tuple[str, ...]
    replaces: tuple[str, ...] = ()


class Absent(NamedTuple):
    """Additions of a model that are missing in weights.

    Attributes:
      modules: sorted paths in the model, as "layer1.0.cbam".
      replaces: paths in the weights that the model does not use.
    """

    modules: tuple[str, ...]
    replaces: tuple[str, ...]


def absent(model: nnx.Module, names: Collection[str]) -> Absent:
    """Finds the additions of a model that are missing in weights everywhere.

    An addition counts as missing only if no module of the model has it. Weights with the attention
    of some blocks therefore lack nothing here, and loading them raises an error that lists the
    missing names.

    Args:
      model: to be given the weights; may be abstract.
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
