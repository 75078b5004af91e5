"""Standard output whose reader may have gone, for example after `| head -1`."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@contextlib.contextmanager
def page() -> Iterator[Console]:
    """A console as wide as the terminal, whose text is written when the block ends.

    Raises:
      BrokenPipeError: nobody reads; a console that writes by itself would end the process.
    """
    from rich.console import Console  # which --help does not need

    console = Console()
    with console.capture() as captured:
        yield console
    sys.stdout.write(captured.get())
    sys.stdout.flush()


@contextlib.contextmanager
def optional() -> Iterator[None]:
    """Prints inside the block; if nobody reads the output, continues without it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        if not is_unread():
            raise
        silence()


def is_unread() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        poll = select.poll()
        poll.register(sys.__stdout__.fileno() if sys.__stdout__ else 1, select.POLLERR)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # no pipe, or a system without poll
        return False


def silence() -> None:
    """Discards further output, so that Python does not complain when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
