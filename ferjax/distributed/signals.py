"""Ctrl-C and SIGTERM as a request that the loop answers between two steps.

SIGTERM is what a scheduler sends before it takes a machine away.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from ferjax import interrupts
from ferjax.distributed import processes
from ferjax.errors import Interrupted

# A signal that came after the last question of a run, for the next run of this process.
_unanswered: list[str] = []


class StopRequest:
    """While active, the first SIGINT or SIGTERM sets `signal_name`; a second one acts as usual.

    On several processes a SIGTERM to any of them makes all stop after the same step, and SIGINT
    acts as usual. Use it as a context manager, in the main thread.

    Raises:
      Interrupted: on entering, if the signal came while the run before was tested, which it ended.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._previous: dict[int, Any] = {}

    def agreed(self) -> bool:
        """Whether to stop here; to be asked after every step, by all processes."""
        if processes.stop_agreed():
            self.signal_name = "SIGTERM"
        return self.signal_name is not None

    def __enter__(self) -> StopRequest:
        if _unanswered:
            raise Interrupted(
                f"{_unanswered.pop()} while the run before was tested, which is done. Run the same "
                "command again to go on."
            )
        if processes.hears_sigterm():
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._handle)
        interrupts.await_one(True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None and self.signal_name is not None and not processes.hears_sigterm():
            _unanswered.append(self.signal_name)
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        if number == signal.SIGINT:
            interrupts.answer()
        self._restore()
        if number == signal.SIGINT and interrupts.is_unanswered():
            raise KeyboardInterrupt  # two came while Python could not be told, and it tells of one

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        interrupts.await_one(False)
