"""What a run writes about itself while it runs: metrics.jsonl, TensorBoard events, progress.

This is the only file that imports a metric writer.

Resuming from a checkpoint of step s keeps the rows up to s and drops the later ones, which are
about to be made again. For that to be right the rows up to s must reach the disk before the
checkpoint of step s counts as saved: call `Writer.flush` first. TensorBoard gets a new event file
at each start, which tells it to purge the events after s.

On several processes only the main one writes; every method of the others returns at once.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from ferjax import places
from ferjax.errors import FolderLost, UserError
from ferjax.jsonl import JsonlLog, Row
from ferjax.places import Growing, Place
from ferjax.progress import Progress


class Writer:
    """Everything that a run reports while it trains; a context manager.

    Args:
        workdir: the run directory, which exists if it is local.
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
        folder = places.of(workdir)
        try:
            self._log = JsonlLog(folder / "metrics.jsonl", resume_step)
            self._events = _Events(folder / "tensorboard", resume_step)
        except OSError as error:
            raise _cannot_be_written(folder, error) from None
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
        """Returns when every row is on the disk; call it before a checkpoint commits.

        Raises:
            OSError: rows cannot be written now. None is lost: a later call tries again.
        """
        if self._log is not None:
            self._log.flush()
            self._events.flush()

    def close(self, *, publish: bool = True) -> None:
        """Flushes and ends the progress line; a second call does nothing.

        Args:
            publish: False leaves what is in an object store as it is.

        Raises:
            UserError: rows cannot be written.
        """
        if self._log is None:
            return
        log, self._log = self._log, None
        self._progress.close()
        self._events.close(publish=publish)
        try:
            log.close(publish=publish)
        except OSError as error:
            raise _cannot_be_written(log.path, error) from None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with contextlib.suppress(*(() if error is None else (UserError,))):
            self.close(publish=not isinstance(error, FolderLost))

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
    """A TensorBoard event file of scalars; a remote one is put whole at each flush.

    Written by the calling thread, one event per step: several times cheaper than tensorboardX's
    `SummaryWriter`, which hands each scalar to another thread through a process-wide queue.

    A file that a full disk cut off is left behind, and a new one begins with what was not flushed.
    """

    def __init__(self, folder: Place, resume_step: int):
        self._growing = Growing(folder)
        self._resume_step = resume_step
        self._unflushed: list[Event] = []
        self._num_files = 0
        self._file: EventsWriter | None = None
        if resume_step:
            start = SessionLog(status=SessionLog.START)
            self._write(Event(wall_time=time.time(), step=resume_step + 1, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of one step."""
        summary = Summary(
            value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        )
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Puts what was written on the disk, if that is possible; a later call tries again."""
        with self._retrying():
            if self._file is None:
                self._open()
            assert self._file is not None
            self._file.flush()
            self._growing.publish()
            self._unflushed.clear()

    def close(self, *, publish: bool) -> None:
        """Flushes and closes the file."""
        if publish:
            self.flush()
        with self._retrying():
            if self._file is not None:
                self._file.close()
            self._growing.close(publish=publish)

    def _write(self, event: Event) -> None:
        self._unflushed.append(event)
        if self._file is not None:
            with self._retrying():
                self._file.write_event(event)
        elif not self._num_files:
            with self._retrying():
                self._open()

    def _open(self) -> None:
        # The suffix keeps two starts within one second from sharing a file.
        suffix = f".{self._resume_step}.{os.getpid()}.{self._num_files}"
        self._num_files += 1
        self._file = EventsWriter(str(self._growing.local / "events"), suffix)
        for event in self._unflushed:
            self._file.write_event(event)

    @contextlib.contextmanager
    def _retrying(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            cut_off, self._file = self._file, None
            if cut_off is not None:
                with contextlib.suppress(OSError):
                    cut_off.close()


def _cannot_be_written(place: Place, error: OSError) -> UserError:
    return UserError(
        f"{place} cannot be written ({error.strerror}): make room there, or let it be written, "
        "and run the same command again."
    )


def _is_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "biuf"
