"""What the threads of orbax print where a save or a read fails, beside the error that it raises.

On a full disk these are hundreds of lines of tracebacks around the one sentence that helps.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# TensorStore says it of each array that it was still writing or reading.
_CLOSED = "Event loop is closed"


def quieten() -> None:
    """Drops it in this process; what other code logs and raises is printed as before."""
    logging.getLogger("absl").addFilter(_is_no_traceback_of_orbax)
    logging.getLogger("asyncio").addFilter(_is_no_task_of_orbax)
    if not isinstance(sys.unraisablehook, _WithoutLateWork):
        sys.unraisablehook = _WithoutLateWork(sys.unraisablehook)


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
        sys.unraisablehook, log.disabled = hook, disabled
        if failed:
            quieten()


class _WithoutLateWork:
    """A `sys.unraisablehook` that passes on all but what comes of work whose run has failed.

    It finds its event loop closed; or, still waiting, it is collected as garbage.
    """

    def __init__(self, hook: Callable[[Any], Any]):
        self._hook = hook

    def __call__(self, found: Any) -> None:
        code = getattr(found.object, "cr_code", None)  # of a coroutine
        waiting = code is not None and "orbax" in code.co_filename
        late = waiting or _CLOSED in str(found.exc_value)
        if not (late and issubclass(found.exc_type, Exception)):
            self._hook(found)


def _is_no_traceback_of_orbax(record: logging.LogRecord) -> bool:
    return not (record.exc_info and _is_of_orbax(record.pathname))


def _is_no_task_of_orbax(record: logging.LogRecord) -> bool:
    """Whether asyncio says something else than that nobody asked for the exception of a task."""
    error = record.exc_info[1] if record.exc_info else None
    # The future of an array has no code of orbax; its error names the folder of the save.
    said = f"{record.getMessage()} {error}"
    if _CLOSED in said or "orbax" in said:
        return False
    frames = traceback.walk_tb(error.__traceback__ if error else None)
    return not any(_is_of_orbax(frame.f_code.co_filename) for frame, _ in frames)


def _is_of_orbax(file: str) -> bool:
    return "orbax" in Path(file).parts
