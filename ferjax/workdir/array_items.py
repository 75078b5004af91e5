"""What is wrong with arrays of a checkpoint that orbax cannot read.

For damaged files it raises errors of many kinds, which say little that helps.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, TypedDict

import jax
from etils import epath

from ferjax import filesystem, refusals, stored_json
from ferjax.stored_json import Object

UNREADABLE = (OSError, ValueError)  # what the reader of a damaged checkpoint raises
# Orbax takes what it finds in its own JSON files for objects of its own.
_OF_ORBAX = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    RecursionError,
)
_LIST = "_METADATA"  # orbax's file with the names of the arrays


class Damaged(ValueError):
    """A checkpoint is not what was saved; the text says in what, as a clause about "it"."""


class _Listed(TypedDict):
    tree_metadata: Object


def check_listed(item: epath.Path) -> None:
    """Checks that an item, a folder of arrays, is there and lists them.

    Raises:
      Damaged: it is not, or does not.
    """
    if not item.exists():
        raise Damaged(f"its arrays in {item.name} are missing")
    try:
        filesystem.load_json(item / _LIST, _Listed)
    except FileNotFoundError:
        raise Damaged(f"its file {item.name}/{_LIST} is missing") from None
    except stored_json.Unfit as error:
        raise Damaged(f"its file {item.name}/{_LIST} {error}") from None


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns an error of orbax within the block into a `Damaged`; `what` names the item."""
    try:
        yield
    except Damaged:
        raise
    except Exception as error:
        # Orbax wraps what a reader of arrays raises in an error of no kind of its own.
        is_wrapped = type(error) is Exception and isinstance(error.__cause__, Exception)
        found = error.__cause__ if is_wrapped else error
        if not isinstance(found, _OF_ORBAX):
            raise
        raise Damaged(f"its arrays in {what} cannot be read: {first_line(found)}") from None


def difference(stored: Any, like: Any) -> str:
    """The first array in which an item differs from what was asked for, as a clause, or "".

    Args:
      stored: the tree of the item, with shapes.
      like: the tree that was asked for, with shapes: all of the item, or branches of it.
    """
    found, wanted = _shapes(stored), _shapes(like)
    for name, shape in wanted.items():
        if name not in found:
            return f"it has no {name}"
        if found[name] != shape:
            return f"{name} has the shape {found[name]}, expected {shape}"
    branches = {name.partition("/")[0] for name in wanted}
    more = (name for name in found if name not in wanted and name.partition("/")[0] in branches)
    return next((f"it has {name}, which that model lacks" for name in more), "")


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type; what the system refused says all."""
    refused = None if isinstance(error, OSError) else refusals.behind(error)
    text = refusals.problem(refused) if refused else str(error).strip()
    text = text or type(error).__name__
    return text.splitlines()[0][:200]


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Name of each array -> its shape."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
