"""What is wrong with arrays of a checkpoint that orbax cannot read.

For damaged files it raises errors of many kinds, which say little that helps.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import jax
from etils import epath

from ferjax import filesystem, stored_json
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
    except _OF_ORBAX as error:
        raise Damaged(f"its arrays in {what} cannot be read: {first_line(error)}") from None


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


@contextlib.contextmanager
def quiet() -> Iterator[Callable[[], None]]:
    """Says nothing of reads that a failed one leaves waiting.

    Python and asyncio would report each with a traceback, when it is collected as garbage or finds
    that the failed one has closed their event loop. Yields what is to be called after a failure; a
    read that ends after the block is then not reported, either.
    """
    hook, log = sys.unraisablehook, logging.getLogger("asyncio")
    disabled, failed = log.disabled, False

    def unless_interrupted(found: Any) -> None:
        if not issubclass(found.exc_type, Exception):
            hook(found)

    def after_failure() -> None:
        nonlocal failed
        failed = True
        gc.collect()

    sys.unraisablehook, log.disabled = unless_interrupted, True
    try:
        yield after_failure
    finally:
        late = failed and not isinstance(hook, _WithoutLateReads)
        sys.unraisablehook = _WithoutLateReads(hook) if late else hook
        log.disabled = disabled


class _WithoutLateReads:
    """A `sys.unraisablehook` that passes on all but what comes of a read whose run has failed.

    It finds its event loop closed; or, still waiting, it is collected as garbage.
    """

    def __init__(self, hook: Callable[[Any], Any]):
        self._hook = hook

    def __call__(self, found: Any) -> None:
        code = getattr(found.object, "cr_code", None)  # of a coroutine
        waiting = code is not None and "orbax" in code.co_filename
        late = waiting or "Event loop is closed" in str(found.exc_value)
        if not (late and issubclass(found.exc_type, Exception)):
            self._hook(found)


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Name of each array -> its shape."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
