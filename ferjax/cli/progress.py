"""How far a run is: one live line on a terminal, plain lines where there is none.

A terminal shows, on one line that is redrawn at most four times a second,

    epoch 3/30 ━━━━━━╺━━━━ 187 images/s  loss 1.234  val 61.2 %  best 63.4 %  ETA 1:12:31

A pipe, a file or a dumb terminal gets a line per epoch, and one every half minute inside an epoch.
Images/s is training alone, over the last steps of this epoch; the time left counts everything
since the first step, validation and saving included. Preparing and auditing data show a `bar`.
"""

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import rich.progress
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from ferjax.cli import output
from ferjax.errors import literal, one_line

REDRAW_SECONDS = 0.25
PLAIN_LINE_SECONDS = 30.0
RATE_STEPS = 50
# A bar without a terminal: a line for every quarter of the work.
_PLAIN_LINES = 4
# Examples come faster than a bar can be redrawn.
_BAR_STRIDE = 64

# The prefix of the metric that selects the epoch in metrics.jsonl, and its name on the line.
SELECTED_BY = {"validation": "val", "optimistic": "optimistic"}


class Progress:
    """Shows the steps of a run on `stream`.

    Args:
        steps_per_epoch: optimizer steps in an epoch.
        num_epochs: epochs of the whole run.
        batch_size: images per step.
        start_step: steps that an earlier start has made.
        stream: where to write; the line is live if this is a terminal.
        clock: seconds that only rise.
    """

    def __init__(
        self,
        *,
        steps_per_epoch: int,
        num_epochs: int,
        batch_size: int,
        start_step: int,
        stream: Any,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._steps_per_epoch = steps_per_epoch
        self._num_epochs = num_epochs
        self._batch_size = batch_size
        self._step = start_step
        self._clock = clock
        self._stream = stream
        self._first: tuple[int, float] | None = None
        self._recent: deque[tuple[int, float]] = deque(maxlen=RATE_STEPS + 1)
        self._rate: float | None = None
        self._loss: float | None = None
        self._accuracy: float | None = None
        self._best: tuple[float, int] | None = None
        self._name = ""
        self._status = ""
        self._shown = clock()
        self._live: Live | None = None
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            console = Console(file=stream)
            self._live = Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=_shows_stdout(),
            )
            self._live.start()

    def restore(self, epoch: int, values: Mapping[str, Any]) -> None:
        """Takes note of an epoch that an earlier start has finished."""
        for name, title in SELECTED_BY.items():
            accuracy = values.get(f"{name}_accuracy")
            if accuracy is not None:
                self._name, self._accuracy = title, float(accuracy)
                if self._best is None or self._accuracy > self._best[0]:
                    self._best = (self._accuracy, epoch)

    def step(self, step: int, values: Mapping[str, Any]) -> None:
        """One more step is done."""
        now = self._clock()
        self._step = step
        self._status = ""
        if "loss" in values:
            self._loss = float(values["loss"])
        if self._first is None:
            self._first = (step, now)
        if (step - 1) % self._steps_per_epoch == 0:
            self._recent.clear()  # what came before was validation, not training
        self._recent.append((step, now))
        (first_step, first_time) = self._recent[0]
        if now > first_time:
            self._rate = (step - first_step) * self._batch_size / (now - first_time)
        if self._live is not None:
            if now - self._shown >= REDRAW_SECONDS:
                self._redraw(now)
        elif now - self._shown >= PLAIN_LINE_SECONDS:
            in_epoch = (step - 1) % self._steps_per_epoch + 1
            self._print(f"{self._epoch_text()}  step {in_epoch}/{self._steps_per_epoch}", now)

    def epoch(self, epoch: int, values: Mapping[str, Any]) -> None:
        """An epoch is over, and validated."""
        now = self._clock()
        self.restore(epoch, values)
        if "loss" in values:
            self._loss = float(values["loss"])
        if self._live is not None:
            self._redraw(now)
        else:
            self._print(f"epoch {epoch}/{self._num_epochs}", now)

    def status(self, text: str) -> None:
        """Says what happens until the next step."""
        self._status = text
        if self._live is not None:
            self._redraw(self._clock())

    def note(self, text: str) -> None:
        """Prints a line of its own."""
        if self._live is not None:
            self._live.console.print(
                literal(text), markup=False, highlight=False, emoji=False, soft_wrap=True
            )
        else:
            self._write(text)

    def close(self) -> None:
        """Ends the live line, leaving its last state as plain text."""
        if self._live is not None:
            self._live.stop()
            self._live = None
            if self._step:
                self.note("  ".join([self._epoch_text(), *self._figures(self._clock())]))

    def _epoch_text(self) -> str:
        epoch = min(max(self._step - 1, 0) // self._steps_per_epoch + 1, self._num_epochs)
        return f"epoch {epoch}/{self._num_epochs}"

    def _figures(self, now: float) -> list[str]:
        """The numbers of the line, each with its name or unit, those not yet known left out."""
        figures = []
        if self._rate is not None:
            figures.append(f"{self._rate:,.0f} images/s")
        if self._loss is not None:
            figures.append(f"loss {self._loss:.3f}")
        if self._accuracy is not None and self._best is not None:
            figures.append(f"{self._name} {self._accuracy:.1%}")
            figures.append(f"best {self._best[0]:.1%}")
        left = self._num_epochs * self._steps_per_epoch - self._step
        if self._first is not None and self._step > self._first[0] and left > 0:
            pace = (now - self._first[1]) / (self._step - self._first[0])
            figures.append(f"ETA {_clock_text(left * pace)}")
        return figures

    def _print(self, head: str, now: float) -> None:
        self._shown = now
        self._write("  ".join([head, *self._figures(now)]))

    def _write(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # a training goes on without its reader
            output.say(text, file=self._stream)

    def _redraw(self, now: float) -> None:
        assert self._live is not None
        self._shown = now
        in_epoch = (self._step - 1) % self._steps_per_epoch + 1 if self._step else 0
        text = self._status or "  ".join(self._figures(now))
        row = Table.grid(expand=True, padding=(0, 1, 0, 0))
        row.add_column(no_wrap=True)
        row.add_column(ratio=1, min_width=4)
        row.add_column(no_wrap=True)
        bar = ProgressBar(total=self._steps_per_epoch, completed=in_epoch)
        row.add_row(self._epoch_text(), bar, text)
        self._live.update(row, refresh=True)


def _shows_stdout() -> bool:
    """Whether standard output is on a terminal, where Rich has to print it above its live line.

    Whatever is printed into a file or a pipe must get there, and Rich would take that, too.
    """
    return sys.stdout is not None and sys.stdout.isatty()


def _clock_text(seconds: float) -> str:
    """H:MM:SS, or M:SS below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


@contextlib.contextmanager
def bar(console: Console, description: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows the progress of `total` examples; yields the function to call after each one.

    A total of 0 means that it is not known: a terminal then shows a bar without a length, and other
    outputs show nothing.
    """
    done = 0
    description = one_line(description)
    if console.is_terminal:
        with rich.progress.Progress(
            console=console, transient=True, redirect_stdout=_shows_stdout()
        ) as progress:
            task = progress.add_task(escape(description), total=total or None)

            def redraw() -> None:
                nonlocal done
                done += 1
                if done % _BAR_STRIDE == 0 or done == total:
                    progress.update(task, completed=done)

            yield redraw
        return

    def advance() -> None:
        nonlocal done
        done += 1
        if total and (done % -(-total // _PLAIN_LINES) == 0 or done == total):
            text = f"{description}: {done:,} of {total:,}"
            console.print(text, markup=False, highlight=False, emoji=False)

    yield advance
