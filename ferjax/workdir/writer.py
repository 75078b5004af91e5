"""What a run writes about itself while it runs: metrics.jsonl, TensorBoard events, progress.

Resuming from a checkpoint of step s keeps the rows up to s and drops the later ones, which the run
makes again. So the rows up to s must be on disk before the checkpoint of step s is saved: call
`Writer.flush` first. TensorBoard gets a new event file at each start, which tells it to purge the
events after s.

On several processes only the main one writes; every method of the others returns at once.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ferjax import filesystem
from ferjax.cli.progress import Progress
from ferjax.errors import FolderLost, UserError
from ferjax.filesystem import Place
from ferjax.workdir.metrics_log import JsonlLog, Row
from ferjax.workdir.tensorboard import Events


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
        folder = filesystem.of(workdir)
        try:
            self._log = JsonlLog(folder / "metrics.jsonl", resume_step)
            self._events = Events(folder / "tensorboard", resume_step)
        except OSError as error:
            raise _cannot_be_written(folder, error) from None
        self._progress = Progress(
            steps_per_epoch=steps_per_epoch,
            num_epochs=num_epochs,
            batch_size=batch_size,
            start_step=resume_step,
            stream=stream if stream is not None else sys.stderr,
        )
        kept = self._log.num_kept
        lost = {
            "steps": resume_step - kept["train"],
            "epochs": resume_step // steps_per_epoch - kept["epoch"],
        }
        said = " and ".join(f"{number} {name}" for name, number in lost.items() if number > 0)
        if said:
            self._progress.note(
                f"{self._log.path} lacks the rows of {said}: they are lost, and the run goes on."
            )
        for row in self._log.rows("epoch"):
            self._progress.restore(row["epoch"], row)

    def rows(self, kind: str, after_step: int = 0) -> list[Row]:
        """Rows in metrics.jsonl (see `JsonlLog.rows`); empty on processes that do not write."""
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

    def write_images(self, step: int, values: Mapping[str, bytes]) -> None:
        """Shows PNG images, by name, in TensorBoard alone."""
        if self._log is not None:
            self._events.images(int(step), values)

    def note(self, text: str) -> None:
        """Prints a line for the user without disturbing the progress line."""
        if self._log is not None:
            self._progress.note(text)

    def status(self, text: str) -> None:
        """Shows on the progress line what the run does until the next step: "compiling"."""
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


def _cannot_be_written(place: Place, error: OSError) -> UserError:
    return UserError(
        f"{place} cannot be written ({error.strerror}): make room there, or let it be written, "
        "and run the same command again."
    )


def _is_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "biuf"
