"""What a run writes about itself while it runs: metrics.jsonl, TensorBoard events, progress.

This is the only file that imports a metric writer.

Resuming from a checkpoint of step s keeps the rows up to s and drops the later ones, which are
about to be made again. For that to be right the rows up to s must reach the disk before the
checkpoint of step s counts as saved: call `Writer.flush` first. TensorBoard gets a new event file
at each start, which tells it to purge the events after s.

On several processes only the main one writes; every method of the others returns at once.
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from ferjax.jsonl import JsonlLog, Row
from ferjax.progress import Progress


class Writer:
    """Everything that a run reports while it trains; a context manager.

    Args:
        workdir: the run directory, which exists.
        resume_step: step of the checkpoint the run continues from, 0 for a new run.
        steps_per_epoch: optimizer steps in an epoch.
        num_epochs: epochs of the whole run.
        batch_size: images per step over all processes, for images/s.
        is_main: False on all processes but one, which then write and print nothing.
        stream: where progress goes; None is standard error.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        resume_step: int,
        steps_per_epoch: int,
        num_epochs: int,
        batch_size: int,
        is_main: bool = True,
        stream: Any = None,
    ):
        self._log: JsonlLog | None = None
        if not is_main:
            return
        folder = Path(workdir)
        self._log = JsonlLog(folder / "metrics.jsonl", resume_step)
        self._events = _Events(folder / "tensorboard", resume_step)
        self._progress = Progress(
            steps_per_epoch=steps_per_epoch,
            num_epochs=num_epochs,
            batch_size=batch_size,
            start_step=resume_step,
            stream=stream if stream is not None else sys.stderr,
        )
        for row in self._log.rows("epoch"):
            self._progress.restore(row["epoch"], row)

    def rows(self, kind: str, after_step: int = 0) -> list[Row]:
        """Rows in metrics.jsonl, as `JsonlLog.rows`; empty on processes that do not write."""
        return [] if self._log is None else self._log.rows(kind, after_step)

    def write_step(self, step: int, values: Mapping[str, Any]) -> None:
        """Records one optimizer step; the progress line shows `values["loss"]`."""
        if self._log is None:
            return
        self._write({"kind": "train", "step": int(step), **values})
        self._progress.step(int(step), values)

    def write_epoch(self, step: int, epoch: int, values: Mapping[str, Any]) -> None:
        """Records one epoch, 1-based, whose last step is `step`.

        The progress line shows `values["loss"]` and `values["validation_accuracy"]` (a fraction)
        or `values["optimistic_accuracy"]`.
        """
        if self._log is None:
            return
        self._write({"kind": "epoch", "step": int(step), "epoch": int(epoch), **values})
        self._progress.epoch(int(epoch), values)

    def note(self, text: str) -> None:
        """Prints a line for the user without disturbing the progress line."""
        if self._log is not None:
            self._progress.note(text)

    def status(self, text: str) -> None:
        """Says on the progress line what a silent stretch is, until the next step: "compiling"."""
        if self._log is not None:
            self._progress.status(text)

    def flush(self) -> None:
        """Returns when every row and event is on the disk; call it before a checkpoint commits."""
        if self._log is not None:
            self._log.flush()
            self._events.flush()

    def close(self) -> None:
        """Flushes and ends the progress line; a second call does nothing."""
        if self._log is not None:
            self._progress.close()
            self._events.close()
            self._log.close()
            self._log = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, row: Row) -> None:
        assert self._log is not None
        self._log.write(row)
        self._events.scalars(
            row["step"],
            {
                f"{row['kind']}/{name}": float(value)
                for name, value in row.items()
                if name not in ("kind", "step", "epoch") and _is_number(value)
            },
        )


class _Events:
    """A TensorBoard event file of scalars.

    Written by the calling thread, one event per step: several times cheaper than tensorboardX's
    `SummaryWriter`, which hands each scalar to another thread through a process-wide queue.
    """

    def __init__(self, folder: Path, resume_step: int):
        folder.mkdir(exist_ok=True)
        # The suffix keeps two starts within one second from sharing a file.
        self._file = EventsWriter(str(folder / "events"), f".{resume_step}.{os.getpid()}")
        if resume_step:
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(
                Event(wall_time=time.time(), step=resume_step + 1, session_log=start)
            )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step."""
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._file.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _is_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "biuf"
