"""Ends a run that makes no progress, and says what it was doing.

A collective whose partner hangs, a driver that stopped answering or a file system that went away
would otherwise hold the machines for nothing, for good.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time

from ferjax.errors import EXIT_RESUMABLE


class Watchdog:
    """A thread that exits the process with 75 when `tick` was not called for too long.

    Use it as a context manager. Before it exits it prints what the run was doing, and where every
    thread of the process stands.

    Args:
      seconds: the longest time without a tick; 0 switches it off.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._doing = "starting"
        self._since = time.monotonic()
        self._ended = threading.Event()

    def tick(self, doing: str) -> None:
        """Records progress, and what comes next: "step 17", "validating epoch 3"."""
        self._doing, self._since = doing, time.monotonic()

    def __enter__(self) -> Watchdog:
        self._since = time.monotonic()
        if self._seconds > 0:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(max(self._since + self._seconds - time.monotonic(), 0.01)):
            silent = time.monotonic() - self._since
            if silent < self._seconds:
                continue
            print(
                f"interrupted: no progress for {silent:.0f} s at {self._doing}, the limit of "
                "train.watchdog_minutes. What is saved is whole: run the same command again to "
                "resume. The threads of the process stood here:",
                file=sys.stderr,
            )
            faulthandler.dump_traceback(sys.stderr)
            sys.stderr.flush()
            os._exit(EXIT_RESUMABLE)
