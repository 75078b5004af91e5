"""The numbers of each training step, on their way from the devices to metrics.jsonl."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax.errors import UserError
from ferjax.workdir.writer import Writer


class LateMetrics:
    """Metrics fetched one step late, so that the host never waits for the step it has just sent.

    Args:
      writer: the run's.
      diverged: called with a step whose loss, gradient or parameters are not finite.
      waiting: called with the name of what the host waits for next.
      steps_per_epoch: steps of an epoch.
      config: the run's.
    """

    def __init__(
        self,
        writer: Writer,
        diverged: Callable[[int], None],
        waiting: Callable[[str], None],
        steps_per_epoch: int,
        config: ConfigDict,
    ):
        self._writer = writer
        self._diverged = diverged
        self._waiting = waiting
        self._steps_per_epoch = steps_per_epoch
        self._batch_size = config.train.batch_size
        self._pending: deque[tuple[int, Any]] = deque()
        rows = writer.rows("train")
        start = len(rows) // steps_per_epoch * steps_per_epoch
        self._epoch = [_means_of(row) for row in rows[start:]]

    def push(self, step: int, values: Any) -> None:
        """Takes the metrics of a step that has been sent; writes the metrics of the step before."""
        self._pending.append((step, values))
        while len(self._pending) > 1:
            self._write(*self._pending.popleft())

    def drain(self) -> None:
        """Writes all that is left, waiting for it."""
        while self._pending:
            self._write(*self._pending.popleft())

    def epoch_means(self) -> dict[str, float]:
        """Mean loss and accuracy over the steps of the epoch that has ended; starts the next.

        Empty if there were no steps, as happens in late fusion.
        """
        if not self._epoch:
            return {}
        losses, accuracies = zip(*self._epoch, strict=True)
        self._epoch = []
        return {"loss": sum(losses) / len(losses), "accuracy": sum(accuracies) / len(accuracies)}

    def _write(self, step: int, values: Any) -> None:
        self._waiting(f"step {step}")
        values = jax.device_get(values)
        finite = bool(values.pop("finite"))
        values["accuracy"] = int(values.pop("correct")) / self._batch_size
        self._writer.write_step(step, values)
        if not finite:
            self._diverged(step)
        self._epoch.append((float(values["loss"]), values["accuracy"]))


def _means_of(row: Mapping[str, Any]) -> tuple[float, float]:
    """Loss and accuracy of a step that an earlier start has made."""
    for name in ("loss", "accuracy"):
        if row.get(name) is None:
            raise UserError(
                f"metrics.jsonl has a row of step {row['step']} with {name} = {row.get(name)}, "
                "expected a number; the file is damaged: remove that line, or start in a new "
                "workdir."
            )
    return row["loss"], row["accuracy"]
