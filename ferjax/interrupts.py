"""A Ctrl-C ends a command within moments, also where Python raises no KeyboardInterrupt.

Python raises it when the main thread is next at a line of Python. A compiler may keep it from there
for minutes, and two Ctrl-C that come meanwhile are one to Python; within a callback it is printed
and forgotten; and it is not raised again while the process waits for its threads to end. The system
itself tells of every signal through a file, which a thread reads here. What it interrupts is then
ended as a kill ends it, which every file that ferjax writes is made for.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from types import FrameType
from typing import NoReturn

from ferjax.errors import EXIT_KEYBOARD

# The main thread has so long to end by itself.
GRACE_SECONDS = 1.5

_reader: int | None = None
_reading = threading.Lock()
_heard = 0
_answered = 0
_awaited = False


def watch() -> None:
    """Begins to listen; for the main thread of a command, once."""
    global _reader
    _reader, writer = os.pipe()
    for end in (_reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    threading.Thread(target=_listen, args=(_reader,), name="keyboard", daemon=True).start()


def unwatch() -> None:
    """Ends the listening, where an end takes longer: other processes are told of it first."""
    signal.set_wakeup_fd(-1)


def await_one(awaited: bool) -> None:
    """Whether the next Ctrl-C is a request that the work answers, however long that takes."""
    global _awaited
    _awaited = awaited


def answer() -> None:
    """Tells that a Ctrl-C was heard as a request."""
    global _answered
    _answered += 1
    await_one(False)


def is_unanswered() -> bool:
    """Whether there was a Ctrl-C that is to end the process."""
    global _heard
    with _reading, contextlib.suppress(BlockingIOError):
        if _reader is not None:
            _heard += os.read(_reader, 64).count(signal.SIGINT)
    return _heard > _answered + _awaited


def let_go() -> None:
    """The work is done: from now on a Ctrl-C ends the process at once and in silence."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """As Python's own handler, but within an import, where C++ would abort, it ends the process."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _leave()
        frame = frame.f_back
    raise KeyboardInterrupt


def _listen(reader: int) -> None:
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        select.select([reader], [], [], left)
        if not is_unanswered():
            deadline = None
        elif deadline is None:
            deadline = time.monotonic() + GRACE_SECONDS
        elif time.monotonic() >= deadline:
            _leave()


def _leave() -> NoReturn:
    # Not by way of sys.stderr, whose lock the main thread may hold.
    with contextlib.suppress(OSError):  # Ctrl-C also ends the tee that reads it
        shown = "\x1b[?25h\n" if os.isatty(2) else ""  # a progress line hides the cursor
        os.write(2, f"{shown}interrupted from the keyboard\n".encode())
    os._exit(EXIT_KEYBOARD)
