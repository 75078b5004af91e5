"""What is printed: literally, in any encoding, and also where the reader has gone (`| head -1`).

Names of files, classes and archive members come from strangers. No character of theirs steers the
terminal (`errors.literal`), and none is markup of Rich.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ferjax import refusals
from ferjax.errors import UserError, literal

if TYPE_CHECKING:
    from rich.console import Console

# The width of what is no terminal, in columns.
UNFOLDED = 100_000


def say(text: object = "", *, file: Any = None) -> None:
    """Prints a text of several lines literally, on standard output or on `file`, at once.

    A standard error that cannot be written loses the text, and ends nothing.
    """
    lost = contextlib.suppress(OSError) if file is sys.stderr else contextlib.nullcontext()
    with checked() if file is None else lost:
        print(literal(text), file=file, flush=True)


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """Prints inside the block to standard output, and gives the reason if that fails.

    Raises:
      BrokenPipeError: nobody reads it.
      UserError: it cannot be written, for example because the disk is full.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()  # what is left of the text, too
        said = refusals.problem(error)
        raise UserError(f"Standard output cannot be written ({said}).") from None


def prepare_streams() -> None:
    """Lets both streams spell out what their encoding lacks, and warnings take one plain line.

    Pillow's warning of a large image is not shown: the error that refuses it says the same. The
    filter is that of a process, so a command sets it and not the library that opens images: around
    each image it would change the filters of threads that decode others.

    Raises:
      UserError: standard output is closed. Other streams that are closed are opened on nothing.
    """
    # The system gives the number of a closed stream to the next file that is opened, and whatever
    # is printed would go into that file.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            if name != "stdout":
                setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))
    if sys.stdout is None:
        raise UserError(
            "Standard output is closed; redirect it to a file, or to /dev/null if nobody is to "
            "read it."
        )
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _plain_warning
    too_large = r"Image size \(\d+ pixels\) exceeds limit"
    warnings.filterwarnings("ignore", message=too_large, category=RuntimeWarning)
    # It is told as any transparency; see `data.images.remarks`.
    warnings.filterwarnings("ignore", message="Palette images with Transparency expressed in bytes")
    # It names no file; see `data.images.remarks.BAD_EXIF`.
    warnings.filterwarnings("ignore", message="Corrupt EXIF data")


def _plain_warning(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {literal(message)}\n"


@contextlib.contextmanager
def page() -> Iterator[Console]:
    """A console as wide as the terminal, whose text is written when the block ends.

    A file or a pipe is as wide as needed: a folded line is found by no other program.

    Raises:
      BrokenPipeError: nobody reads; a console that writes by itself would end the process.
      UserError: as `checked`.
    """
    from rich.console import Console  # which --help does not need

    width = None if sys.stdout.isatty() else UNFOLDED
    console = Console(markup=False, emoji=False, highlight=False, width=width)
    console.begin_capture()
    yield console
    with checked():  # where a capture ends, Rich itself writes an empty text
        sys.stdout.write(console.end_capture())
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
