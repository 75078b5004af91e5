"""One run, top to bottom: data, state, restore, loop, and a single test of the best epoch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax.data.pipeline.batches import TrainingInput
from ferjax.distributed import processes
from ferjax.distributed.signals import StopRequest
from ferjax.distributed.watchdog import Watchdog
from ferjax.errors import Interrupted, SaveFailed, UserError
from ferjax.evaluation.class_geometry import Accumulator
from ferjax.metrics import Metrics
from ferjax.training import collapse, experiment, last_epoch, preflight, warm_start
from ferjax.training import result as report
from ferjax.training.best_epoch import Selection
from ferjax.training.plateau import Plateau
from ferjax.training.profiling import Profile
from ferjax.training.step import TrainState
from ferjax.training.step_metrics import LateMetrics
from ferjax.training.trunks import TRUNKS, own_runs, trunk_sources
from ferjax.workdir.checkpoints import Checkpoints, save_failed
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.writer import Writer


def train(
    config: ConfigDict,
    workdir: str,
    *,
    profile_steps: str | None = None,
    report_last: bool = False,
) -> dict[str, Any]:
    """Trains, selects on validation and tests once; resumes what is in `workdir`.

    Every process of a run calls it; the main one writes the files.

    Args:
      config: as a file in configs/ makes it.
      workdir: the run directory, the same for all processes.
      profile_steps: see `profiling.Profile`; the steps of the run itself, not of its trunks.
      report_last: tests the last epoch beside the selected one, also of a run that has finished
        without it; that of the run itself, not of its trunks.

    Returns:
      What result.json says.

    Raises:
      UserError: bad input, a loss that is no longer finite, or a checkpoint that cannot be saved.
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    preflight.check_start(config)
    directory = RunDirectory(workdir)
    processes.check_equal("The flag --report_last", str(report_last))
    with preflight.claimed(directory, config):
        result = directory.result()
        if result is None:
            preflight.open_data(config)
            for name, stage in own_runs(config, directory).items():
                train(stage, str(directory.path / TRUNKS / name))
            profile = Profile(profile_steps if processes.is_main() else None, directory.path)
            watchdog = Watchdog(60 * config.train.watchdog_minutes)
            with StopRequest() as stop, watchdog:
                run = _Run(config, directory, stop, watchdog, profile)
                result = run.execute(report_last=report_last)
        elif report_last and "test_last" not in result:
            preflight.open_data(config)
            result = last_epoch.add(config, directory, result)
        return result


class _Run:
    """The state of one start of a run; `execute` is the story."""

    def __init__(
        self,
        config: ConfigDict,
        directory: RunDirectory,
        stop: StopRequest,
        watchdog: Watchdog,
        profile: Profile,
    ):
        self.config = config
        self.directory = directory
        self.stop = stop
        self.watchdog = watchdog
        self.profile = profile
        self.parts = experiment.build(config)
        self.parts.check()
        self.checkpoints = Checkpoints(
            directory.path, report=print if processes.is_main() else _say_nothing
        )
        self.selection = Selection()
        self.plateau = Plateau()
        self.unsaved: SaveFailed | None = None  # since the last checkpoint
        self.origins: list[dict[str, Any]] = []
        self.collapsed_epochs: list[int] = []
        self.collapse = ""  # what is said of the last of them
        self.seconds = 0.0

    def execute(self, *, report_last: bool = False) -> dict[str, Any]:
        parts = self.parts
        steps_per_epoch = parts.steps_per_epoch
        self.watchdog.tick("reading the data")
        batches = parts.training_input()
        self.watchdog.tick("restoring the last checkpoint")
        state, first_step = self._restore(batches)
        processes.check_equal("The step of the restored checkpoint", str(first_step))
        with Writer(
            self.directory.path,
            resume_step=first_step,
            steps_per_epoch=steps_per_epoch,
            num_epochs=self.config.train.num_epochs,
            batch_size=self.config.train.batch_size,
            is_main=processes.is_main(),
        ) as writer:
            if parts.protocol.remark:
                writer.note(parts.protocol.remark)
            if self.config.departures:
                writer.note(report.no_row(self.config.paper, self.config.departures))
            if state is None:
                trunks = trunk_sources(parts, self.directory.path)
                state, self.origins = warm_start.initial_state(parts, trunks, report=writer.note)
            if first_step:
                writer.note(f"Resuming {self.directory.path} after step {first_step}.")
            validate = parts.evaluation(
                parts.protocol.selection, (self.config.evaluation.selection_view,)
            )
            metrics = LateMetrics(
                writer, self._diverged, self.watchdog.tick, steps_per_epoch, self.config
            )
            self.clock = time.monotonic()
            writer.status("compiling the training step")
            step = first_step
            while step < parts.num_steps and not self._finished(step):
                self.watchdog.tick(f"sending step {step + 1}")
                with self.profile.step(step + 1):
                    state, values = parts.train_step(state, batches.table, next(batches))
                step += 1
                metrics.push(step, values)
                self.profile.after(step, values)
                stopping = self.stop.agreed()
                if step % steps_per_epoch == 0:
                    metrics.drain()
                    writer.status("validating")
                    state = self._end_epoch(step, state, validate, metrics, writer)
                    self._save(step, state, batches, writer)
                elif stopping or self._checkpoint_due(step):
                    metrics.drain()
                    self._save(step, state, batches, writer)
                if stopping:
                    self._leave(step)
            if not parts.is_trained:
                self._end_epoch(0, state, validate, metrics, writer)
            batches.close()
            self._finish_saving(writer.note)
            self.profile.close()
            self._tick()
            if self.stop.agreed():  # since the last step
                self._leave(step)
            writer.status("testing the best epoch")
            self.watchdog.tick("testing the best epoch")
            result = self._test(step, state if report_last else None, writer)
        self.checkpoints.close()
        if processes.is_main():
            self.directory.check_held()
            self.directory.write_result(result)
        processes.wait_for_all("result")
        return result

    def _restore(self, batches: TrainingInput) -> tuple[TrainState | None, int]:
        restored = self.checkpoints.restore("last", self.parts.abstract_state())
        # A better epoch than the last checkpoint knows of, from a start that was cut off.
        self.checkpoints.drop_later("best", 0 if restored is None else int(restored[0].step))
        if restored is None:
            return None, 0
        state, meta = restored
        self._check_meta(meta)
        batches.seek(meta["input_position"])
        self.selection = Selection(**meta["selection"])
        self.plateau = Plateau(**meta["plateau"])
        self.origins = meta["started_from"]
        self.collapsed_epochs = meta.get("collapsed_epochs", [])
        self.collapse = meta.get("collapse", "")
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
        metrics: LateMetrics,
        writer: Writer,
    ) -> TrainState:
        """Validates; returns the state of the next epoch."""
        epoch = step // self.parts.steps_per_epoch
        self.watchdog.tick(f"validating epoch {epoch}")
        split, view = self.parts.protocol.selection, self.config.evaluation.selection_view
        geometry = Accumulator()
        scores = validate(state.evaluated, geometry)[view][split]
        measured = self.parts.protocol.measured
        writer.write_epoch(
            step,
            epoch,
            {
                **metrics.epoch_means(),
                **{f"{measured}_{name}": scores[name] for name in ("accuracy", "loss", "macro_f1")},
                **{
                    f"{measured}_{name}": value
                    for name, value in geometry.compute(state.centers).items()
                    if value is not None
                },
            },
        )
        self._check_collapse(epoch, scores, writer)
        before = dataclasses.replace(self.selection)
        if self.selection.update(epoch=epoch, step=step, accuracy=scores["accuracy"]):
            self.watchdog.tick(f"saving the best epoch, {epoch}")
            self._finish_saving(writer.note)
            try:
                # On disk before the "last" checkpoint that counts on it.
                self.checkpoints.save("best", step, state, self.parts.meta())
                self.checkpoints.wait()
            except SaveFailed as error:
                self._go_on_without(error, writer.note)
                self.selection = dataclasses.replace(before, waited=before.waited + 1)
        rule = self.parts.plateau
        if self.plateau.update(rule, scores[rule.metric]):
            writer.note(f"Learning rate times {self.plateau.scale:g} from epoch {epoch + 1} on.")
            state = self.parts.scaled(state, self.plateau.scale)
        return state

    def _check_collapse(self, epoch: int, scores: Metrics, writer: Writer) -> None:
        """Says once, and keeps for the result, that it does no better than class frequencies."""
        counts = [sum(row) for row in scores["confusion"]]
        if collapse.collapsed(epoch, scores["loss"], counts):
            self.collapse = collapse.explain(scores["loss"], counts, self.config)
            if not self.collapsed_epochs:
                writer.note(self.collapse)
            self.collapsed_epochs.append(epoch)

    def _save(self, step: int, state: TrainState, batches: TrainingInput, writer: Writer) -> None:
        """Saves what a resume needs; returns before it is on disk."""
        self.watchdog.tick(f"saving step {step}")
        self._finish_saving(writer.note)
        self._tick()
        meta = {
            **self.parts.meta(),
            "input_position": batches.position,
            "selection": self.selection.to_dict(),
            "plateau": self.plateau.to_dict(),
            "started_from": self.origins,
            "collapsed_epochs": self.collapsed_epochs,
            "collapse": self.collapse,
            "train_seconds": self.seconds,
        }
        try:
            try:
                writer.flush()  # every row up to this step is on disk before the checkpoint is
            except OSError as error:
                what = f"metrics.jsonl up to step {step}"
                raise save_failed(what, self.directory.path, error) from None
            self.checkpoints.save("last", step, state, meta)
            self.unsaved = None
        except SaveFailed as error:
            self._go_on_without(error, writer.note)

    def _finish_saving(self, note: Callable[[str], None]) -> None:
        """Waits for the save before; what comes next is written if the folder is still ours."""
        self.directory.check_held()
        try:
            self.checkpoints.wait()
        except SaveFailed as error:
            self._go_on_without(error, note)

    def _go_on_without(self, error: SaveFailed, note: Callable[[str], None]) -> None:
        """Reports a save that failed, and ends the run unless the config wants it to go on."""
        # Of several processes one alone may fail, while the others wait for it to be done.
        if self.parts.on_failed_save == "stop" or jax.process_count() > 1:
            raise error
        self.unsaved = error
        note(f"{error} Going on without it, as train.on_failed_save says.")

    def _tick(self) -> None:
        """Adds the time since the last call to the cost of the run."""
        now = time.monotonic()
        self.seconds += now - self.clock
        self.clock = now

    def _leave(self, step: int) -> None:
        self.checkpoints.wait()  # whoever goes on without a checkpoint must not leave without it
        if self.unsaved is not None:
            raise self.unsaved
        self.profile.close()
        processes.wait_for_all("saved")
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

    def _test(self, step: int, last: TrainState | None, writer: Writer) -> dict[str, Any]:
        """Where the test split is read: the best epoch, and the `last` state if there is one."""
        restored = self.checkpoints.restore("best", self.parts.abstract_state())
        if restored is None:
            raise UserError(
                f"{self.directory.path}/checkpoints/best has no checkpoint: it could not be saved, "
                "or is gone. Restore it from a copy, or start again in an empty workdir."
            )
        state, _ = restored
        processes.check_equal("The step of the best checkpoint", str(int(state.step)))
        if int(state.step) != self.selection.step:
            raise UserError(
                f"{self.directory.path}/checkpoints/best has step {int(state.step)}, and the best "
                f"epoch ended with step {self.selection.step}. Restore it from a copy, or start "
                "again in an empty workdir."
            )
        evaluate = self.parts.evaluation(
            self.parts.protocol.test, tuple(self.config.evaluation.test_views)
        )
        scores = evaluate(state.evaluated)
        result = report.result(
            self.config,
            self.parts,
            origins=self.origins,
            selection=self.selection,
            training=self.selection.training(writer.rows("epoch")),
            scores=scores,
            warnings=self._warnings(),
            num_steps=step,
            train_seconds=self.seconds,
        )
        if last is not None:
            result |= last_epoch.fields(self.parts, step, evaluate(last.evaluated))
        return result

    def _warnings(self) -> list[dict[str, Any]]:
        if not self.collapsed_epochs:
            return []
        return [{"kind": "collapsed", "epochs": self.collapsed_epochs, "message": self.collapse}]


def _say_nothing(_: str) -> None:
    """Where the main process reports already."""
