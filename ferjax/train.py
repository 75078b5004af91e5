"""One run, top to bottom: data, state, restore, loop, and a single test of the best epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax import experiment, report, stages, starting
from ferjax.checkpoints import Checkpoints
from ferjax.data.pipeline import TrainingInput
from ferjax.errors import Interrupted, UserError
from ferjax.interruption import StopRequest
from ferjax.plateau import Plateau
from ferjax.rundir import RunDirectory
from ferjax.selection import Selection
from ferjax.step import TrainState
from ferjax.writer import Writer


def train(config: ConfigDict, workdir: str) -> dict[str, Any]:
    """Trains, selects on validation and tests once; resumes what is in `workdir`.

    Args:
      config: as a file in configs/ makes it.
      workdir: the run directory.

    Returns:
      What result.json says.

    Raises:
      UserError: bad input, or a loss that is no longer finite.
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    directory = RunDirectory(workdir)
    with directory.claim(config):
        result = directory.result()
        if result is None:
            for name, stage in stages.own_runs(config, directory).items():
                train(stage, str(directory.path / stages.TRUNKS / name))
            with StopRequest() as stop:
                result = _Run(config, directory, stop).execute()
        return result


class _Run:
    """The state of one start of a run; `execute` is the story."""

    def __init__(self, config: ConfigDict, directory: RunDirectory, stop: StopRequest):
        self.config = config
        self.directory = directory
        self.stop = stop
        self.parts = experiment.build(config)
        self.checkpoints = Checkpoints(directory.path)
        self.selection = Selection()
        self.plateau = Plateau()
        self.origins: list[dict[str, Any]] = []
        self.seconds = 0.0

    def execute(self) -> dict[str, Any]:
        parts = self.parts
        steps_per_epoch = parts.steps_per_epoch
        batches = parts.training_input()
        state, first_step = self._restore(batches)
        with Writer(
            self.directory.path,
            resume_step=first_step,
            steps_per_epoch=steps_per_epoch,
            num_epochs=self.config.train.num_epochs,
            batch_size=self.config.train.batch_size,
            is_main=jax.process_index() == 0,
        ) as writer:
            if parts.protocol.remark:
                writer.note(parts.protocol.remark)
            if state is None:
                trunks = stages.trunk_sources(parts, self.directory.path)
                state, self.origins = starting.initial_state(parts, trunks, report=writer.note)
            if first_step:
                writer.note(f"Resuming {self.directory.path} after step {first_step}.")
            validate = parts.evaluation(
                parts.protocol.selection, (self.config.evaluation.selection_view,)
            )
            metrics = _LateMetrics(writer, self._diverged, steps_per_epoch, self.config)
            self.clock = time.monotonic()
            writer.status("compiling the training step")
            step = first_step
            while step < parts.num_steps and not self._finished(step):
                state, values = parts.train_step(state, batches.table, next(batches))
                step += 1
                metrics.push(step, values)
                if step % steps_per_epoch == 0:
                    metrics.drain()
                    writer.status("validating")
                    state = self._end_epoch(step, state, validate, metrics, writer)
                    self._save("last", step, state, batches, writer)
                elif self.stop.signal_name or self._checkpoint_due(step):
                    metrics.drain()
                    self._save("last", step, state, batches, writer)
                if self.stop.signal_name:
                    self._leave(step)
            if not parts.is_trained:
                self._end_epoch(0, state, validate, metrics, writer)
            batches.close()
            self.checkpoints.wait()
            self._tick()
            writer.status("testing the best epoch")
            result = self._test(step)
        self.checkpoints.close()
        self.directory.write_result(result)
        return result

    def _restore(self, batches: TrainingInput) -> tuple[TrainState | None, int]:
        restored = self.checkpoints.restore("last", self.parts.abstract_state())
        if restored is None:
            return None, 0
        state, meta = restored
        self._check_meta(meta)
        batches.seek(meta["input_position"])
        self.selection = Selection(**meta["selection"])
        self.plateau = Plateau(**meta["plateau"])
        self.origins = meta["started_from"]
        self.seconds = meta["train_seconds"]
        return state, int(state.step)

    def _check_meta(self, meta: dict[str, Any]) -> None:
        """Refuses a checkpoint whose data, labels or preprocessing are not today's."""
        for field, value in self.parts.meta().items():
            if report.as_json(meta[field]) != report.as_json(value):
                raise UserError(
                    f"The checkpoint in {self.directory.path} was made with {field} = "
                    f"{meta[field]!r}, but the data set and config give {value!r}. Prepare the "
                    "data set it was trained on, or start in another workdir."
                )

    def _finished(self, step: int) -> bool:
        """Whether early stopping has ended the run; only the end of an epoch can."""
        patience = self.config.train.early_stopping_patience
        return step % self.parts.steps_per_epoch == 0 and self.selection.exhausted(patience)

    def _checkpoint_due(self, step: int) -> bool:
        every = self.config.train.checkpoint_every_steps
        return every > 0 and step % every == 0

    def _end_epoch(
        self,
        step: int,
        state: TrainState,
        validate: Callable[..., Any],
        metrics: _LateMetrics,
        writer: Writer,
    ) -> TrainState:
        """Validates; returns the state of the next epoch."""
        epoch = step // self.parts.steps_per_epoch
        split, view = self.parts.protocol.selection, self.config.evaluation.selection_view
        scores = validate(state.evaluated)[view][split]
        writer.write_epoch(
            step,
            epoch,
            {
                **metrics.epoch_means(),
                **{
                    f"{self.parts.protocol.measured}_{name}": scores[name]
                    for name in ("accuracy", "loss", "macro_f1")
                },
            },
        )
        if self.selection.update(epoch=epoch, step=step, accuracy=scores["accuracy"]):
            # On disk before the "last" checkpoint that counts on it.
            self.checkpoints.save("best", step, state, self.parts.meta())
            self.checkpoints.wait()
        rule = self.parts.plateau
        if self.plateau.update(rule, scores[rule.metric]):
            writer.note(f"Learning rate times {self.plateau.scale:g} from epoch {epoch + 1} on.")
            state = self.parts.scaled(state, self.plateau.scale)
        return state

    def _save(
        self,
        kind: str,
        step: int,
        state: TrainState,
        batches: TrainingInput,
        writer: Writer,
    ) -> None:
        writer.flush()  # every row up to this step is on disk before the checkpoint is
        self._tick()
        meta = {
            **self.parts.meta(),
            "input_position": batches.position,
            "selection": self.selection.to_dict(),
            "plateau": self.plateau.to_dict(),
            "started_from": self.origins,
            "train_seconds": self.seconds,
        }
        self.checkpoints.save(kind, step, state, meta)

    def _tick(self) -> None:
        """Adds the time since the last call to the cost of the run."""
        now = time.monotonic()
        self.seconds += now - self.clock
        self.clock = now

    def _leave(self, step: int) -> None:
        self.checkpoints.wait()
        raise Interrupted(
            f"{self.stop.signal_name} after step {step} of {self.parts.num_steps}; everything is "
            f"saved in {self.directory.path}. Run the same command again to resume."
        )

    def _diverged(self, step: int) -> None:
        self.checkpoints.wait()
        last = self.checkpoints.latest("last")
        kept = "There is no checkpoint before it."
        if last is not None:
            kept = (
                "The last good checkpoint is that of step "
                f"{last}: {self.checkpoints.path('last', last)}."
            )
        raise UserError(
            f"Loss, gradient or parameters are not finite after step {step} (NaN or Inf). {kept} "
            "Lower optimizer.learning_rate or set optimizer.clip_norm, and start in a new workdir."
        )

    def _test(self, step: int) -> dict[str, Any]:
        """The only place where the test split is read: the best epoch, once."""
        restored = self.checkpoints.restore("best", self.parts.abstract_state())
        if restored is None:
            raise UserError(
                f"{self.directory.path}/checkpoints/best is gone; restore it from a copy, or "
                "start again in an empty workdir."
            )
        state, _ = restored
        evaluate = self.parts.evaluation(
            self.parts.protocol.test, tuple(self.config.evaluation.test_views)
        )
        scores = evaluate(state.evaluated)
        return report.result(
            self.config,
            self.parts,
            origins=self.origins,
            selection=self.selection,
            scores=scores,
            num_steps=step,
            train_seconds=self.seconds,
        )


class _LateMetrics:
    """Metrics fetched one step late, so that the host never waits for the step it has just sent."""

    def __init__(
        self,
        writer: Writer,
        diverged: Callable[[int], None],
        steps_per_epoch: int,
        config: ConfigDict,
    ):
        self._writer = writer
        self._diverged = diverged
        self._steps_per_epoch = steps_per_epoch
        self._batch_size = config.train.batch_size
        self._pending: deque[tuple[int, Any]] = deque()
        rows = writer.rows("train")
        start = len(rows) // steps_per_epoch * steps_per_epoch
        self._epoch = [(row["loss"], row["accuracy"]) for row in rows[start:]]

    def push(self, step: int, values: Any) -> None:
        """Takes the metrics of a step that has been sent, and writes those of the one before."""
        self._pending.append((step, values))
        while len(self._pending) > 1:
            self._write(*self._pending.popleft())

    def drain(self) -> None:
        """Writes all that is left, waiting for it."""
        while self._pending:
            self._write(*self._pending.popleft())

    def epoch_means(self) -> dict[str, float]:
        """Mean loss and accuracy over the steps of the epoch that has ended; starts the next.

        Nothing where there were no steps, as in late fusion.
        """
        if not self._epoch:
            return {}
        losses, accuracies = zip(*self._epoch, strict=True)
        self._epoch = []
        return {"loss": sum(losses) / len(losses), "accuracy": sum(accuracies) / len(accuracies)}

    def _write(self, step: int, values: Any) -> None:
        values = jax.device_get(values)
        finite = bool(values.pop("finite"))
        values["accuracy"] = int(values.pop("correct")) / self._batch_size
        self._writer.write_step(step, values)
        if not finite:
            self._diverged(step)
        self._epoch.append((float(values["loss"]), values["accuracy"]))
