"""One run, top to bottom: data, state, restore, loop, and a single test of the best epoch."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

from ml_collections import ConfigDict

from ferjax.cli import output
from ferjax.data.pipeline.batches import TrainingInput
from ferjax.distributed import processes
from ferjax.distributed.signals import StopRequest
from ferjax.distributed.watchdog import Watchdog
from ferjax.errors import Interrupted, UserError
from ferjax.training import experiment, final_test, images, last_epoch, preflight, warm_start
from ferjax.training import result as report
from ferjax.training.profiling import Profile
from ferjax.training.run_progress import RunProgress
from ferjax.training.saving import Saving
from ferjax.training.step import TrainState
from ferjax.training.step_metrics import LateMetrics
from ferjax.training.trunks import TRUNKS, own_runs, trunk_sources
from ferjax.training.validation import Validation
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.writer import Writer


def train(
    config: ConfigDict,
    workdir: str,
    *,
    profile_steps: str | None = None,
    report_last: bool = False,
    draws: bool = False,
) -> dict[str, Any]:
    """Trains, selects on validation and tests once; resumes what is in `workdir`.

    Every process of a run calls it; the main one writes the files.

    Args:
      config: a config that a file in configs/ made.
      workdir: the run directory, the same for all processes.
      profile_steps: see `profiling.Profile`; does not apply to trunks.
      report_last: whether to test the last epoch, too, also of a finished run; not for trunks.
      draws: whether TensorBoard gets the pictures of `images`.

    Returns:
      The content of result.json.

    Raises:
      UserError: bad input, a loss that is no longer finite, or a checkpoint that cannot be saved.
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    preflight.check_start(config)
    directory = RunDirectory(workdir)
    processes.check_equal("The flag --report_last", str(report_last))
    profile = Profile(profile_steps, directory.path, traces=processes.is_main())
    with preflight.claimed(directory, config):
        result = directory.result()
        if result is None:
            preflight.open_data(config)
            for name, stage in own_runs(config, directory).items():
                train(stage, str(directory.path / TRUNKS / name), draws=draws)
            with StopRequest() as stop, Watchdog(60 * config.train.watchdog_minutes) as watchdog:
                run = _Run(config, directory, stop, watchdog, profile, draws)
                result = run.execute(report_last=report_last)
        else:
            preflight.check_finished(directory, config, result)
            if profile_steps is not None and processes.is_main():
                output.say("The run is finished: no trace is made.", file=sys.stderr)
            if report_last and "test_last" not in result:
                preflight.open_data(config)
                result = last_epoch.add(config, directory, result)
        return result


class _Run:
    """One start of a run; `execute` runs it."""

    def __init__(
        self,
        config: ConfigDict,
        directory: RunDirectory,
        stop: StopRequest,
        watchdog: Watchdog,
        profile: Profile,
        draws: bool,
    ):
        self.config = config
        self.directory = directory
        self.stop = stop
        self.watchdog = watchdog
        self.profile = profile
        self.draws = draws
        self.writer: Writer | None = None
        self.experiment = experiment.build(config)
        self.experiment.check()
        self.progress = RunProgress()
        self.saving = Saving(
            directory,
            self.experiment.spec,
            on_failed_save=config.train.on_failed_save,
            note=self._note,
        )

    def execute(self, *, report_last: bool = False) -> dict[str, Any]:
        """Trains what is left to train, tests the best epoch, and writes result.json."""
        run = self.experiment
        self.profile.check(run.num_steps)
        self._doing("reading the data")
        batches = run.training_input()
        self.saving.frame(run.data)
        self._doing("restoring the last checkpoint")
        state, step = self._restore(batches)
        with self._writer(step) as self.writer:
            self._say_what_it_is(step)
            if state is None:
                trunks = trunk_sources(run, self.directory.path)
                state, origins = warm_start.initial_state(run, trunks, report=self._note)
                self.progress.started_from = origins
            self.clock = time.monotonic()
            self._doing("compiling the training step")
            step, state = self._train(step, state, batches)
            batches.close()
            self.saving.finish()
            self.profile.close()
            self._count_time()
            if self.stop.agreed():  # since the last step
                self._leave(step)
            self._doing("testing the best epoch")
            result = self._test(step, state if report_last else None)
        self.saving.close()
        if processes.is_main():
            self.directory.check_held()
            self.directory.write_result(result)
        processes.wait_for_all("result")
        return result

    def _train(
        self, step: int, state: TrainState, batches: TrainingInput
    ) -> tuple[int, TrainState]:
        """Makes all steps after `step`: update, metrics, and validation at the end of an epoch."""
        run, writer = self.experiment, self._written
        steps_per_epoch = run.spec.steps_per_epoch
        every = self.config.train.checkpoint_every_steps
        validate = Validation(run)
        metrics = LateMetrics(
            writer, self._diverged, self.watchdog.tick, steps_per_epoch, self.config
        )
        while step < run.num_steps and not self._finished(step):
            self.watchdog.tick(f"sending step {step + 1}")
            with self.profile.step(step + 1):
                batch = next(batches)
                state, values = run.train_step(state, batches.table, batch)
            if self.draws and not step:
                writer.write_images(0, images.of_training(run, batches.table, batch))
            step += 1
            metrics.push(step, values)
            self.profile.after(step, values)
            stopping = self.stop.agreed()
            if step % steps_per_epoch == 0:
                metrics.drain()
                state = self._end_epoch(step, state, validate, metrics)
                self._save(step, state, batches)
            elif stopping or (every and step % every == 0):
                metrics.drain()
                self._save(step, state, batches)
            if stopping:
                self._leave(step)
        if not run.is_trained:
            self._end_epoch(0, state, validate, metrics)
        return step, state

    def _restore(self, batches: TrainingInput) -> tuple[TrainState | None, int]:
        """The state of the last checkpoint, or None, and how many steps are done."""
        restored = self.saving.restore(self.experiment.states.abstract())
        state, step = None, 0
        if restored is not None:
            state, self.progress, input_position = restored
            batches.seek(input_position)
            step = int(state.step)
        processes.check_equal("The step of the restored checkpoint", str(step))
        return state, step

    def _writer(self, first_step: int) -> Writer:
        return Writer(
            self.directory.path,
            resume_step=first_step,
            steps_per_epoch=self.experiment.spec.steps_per_epoch,
            num_epochs=self.config.train.num_epochs,
            batch_size=self.config.train.batch_size,
            is_main=processes.is_main(),
        )

    def _say_what_it_is(self, first_step: int) -> None:
        for remark in report.remarks(self.experiment):
            self._note(remark)
        if first_step:
            missed = self.profile.missed(first_step)
            self._note(f"Resuming {self.directory.path} after step {first_step}. {missed}".strip())

    def _finished(self, step: int) -> bool:
        """Whether early stopping has ended the run; only the end of an epoch can."""
        patience = self.config.train.early_stopping_patience
        at_end = step % self.experiment.spec.steps_per_epoch == 0
        return at_end and self.progress.selection.exhausted(patience)

    def _end_epoch(
        self, step: int, state: TrainState, validate: Validation, metrics: LateMetrics
    ) -> TrainState:
        """Validates, and saves the best; returns the state of the next epoch."""
        run, progress = self.experiment, self.progress
        epoch = step // run.spec.steps_per_epoch
        self._doing(f"validating epoch {epoch}")
        measured = validate(state)
        row = {f"{run.protocol.measured}_{name}": one for name, one in measured.row.items()}
        self._written.write_epoch(step, epoch, {**metrics.epoch_means(), **row})
        if self.draws:
            self._written.write_images(step, images.of_epoch(run, measured.scores["confusion"]))
        said = bool(progress.collapsed_epochs)
        if progress.add_collapse(epoch, measured.scores, self.config) and not said:
            self._note(progress.collapse)
        before = dataclasses.replace(progress.selection)
        if progress.selection.update(epoch=epoch, step=step, accuracy=measured.scores["accuracy"]):
            self.watchdog.tick(f"saving the best epoch, {epoch}")
            if not self.saving.save_best(step, state.evaluated):
                # An epoch whose weights could not be saved does not count as the best.
                progress.selection = dataclasses.replace(before, waited=before.waited + 1)
        if progress.plateau.update(run.plateau, measured.row[run.plateau.metric]):
            scale = progress.plateau.scale
            self._note(f"Learning rate times {scale:g} from epoch {epoch + 1} on.")
            state = run.states.scaled(state, scale)
        return state

    def _save(self, step: int, state: TrainState, batches: TrainingInput) -> None:
        """Saves what a resume needs; returns before it is on disk."""
        self.watchdog.tick(f"saving step {step}")
        self.saving.finish()
        self._count_time()
        self.saving.save_last(step, state, self.progress, batches.position, self._written.flush)

    def _test(self, step: int, last: TrainState | None) -> dict[str, Any]:
        """Reads the test split: scores the best epoch, and the `last` state if given."""
        run, progress = self.experiment, self.progress
        best = self.saving.best(progress.selection.step, run.states.abstract().evaluated)
        tested = final_test.test(run, best)
        result = report.result(
            run,
            progress,
            training=progress.selection.training(self._written.rows("epoch")),
            scores=tested.scores,
            stored=tested.stored(self.directory),
            num_steps=step,
        )
        if last is not None:
            result |= last_epoch.fields(run, step, last.evaluated, self.directory)
        return result

    def _leave(self, step: int) -> None:
        """Ends a run that was asked to stop, once everything is saved."""
        self.saving.check_saved()
        self.profile.close()
        processes.wait_for_all("saved")
        raise Interrupted(
            f"{self.stop.signal_name} after step {step} of {self.experiment.num_steps}; everything "
            f"is saved in {self.directory.path}. Run the same command again to resume."
        )

    def _diverged(self, step: int) -> None:
        raise UserError(
            f"Loss, gradient or parameters are not finite after step {step} (NaN or Inf). "
            f"{self.saving.last_good()} Lower optimizer.learning_rate or set optimizer.clip_norm, "
            "and start in a new workdir."
        )

    @property
    def _written(self) -> Writer:
        assert self.writer is not None, "a step is made while the writer is open"
        return self.writer

    def _note(self, text: str) -> None:
        """Says a sentence to the user, once for all processes."""
        if self.writer is not None:
            self.writer.note(text)
        elif processes.is_main():
            output.say(text)

    def _doing(self, text: str) -> None:
        """Tells the watchdog and the progress line what comes next."""
        self.watchdog.tick(text)
        if self.writer is not None:
            self.writer.status(text)

    def _count_time(self) -> None:
        """Adds the time since the last call to the cost of the run."""
        before, self.clock = self.clock, time.monotonic()
        self.progress.train_seconds += self.clock - before
