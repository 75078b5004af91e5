"""The checkpoints of one start of a run, and what is done when one cannot be saved."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from ferjax.data.run_data import RunData
from ferjax.distributed import processes
from ferjax.errors import SaveFailed, UserError
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.model_spec import ModelSpec
from ferjax.models.functional import Weights
from ferjax.training.framing import framing
from ferjax.training.run_progress import RunProgress
from ferjax.training.step import TrainState
from ferjax.workdir import checkpoint_files
from ferjax.workdir.checkpoint_files import About
from ferjax.workdir.checkpoints import Checkpoints, save_failed
from ferjax.workdir.directory import RunDirectory


class Saving:
    """Saves and restores the checkpoints of a run, in the folder that it has claimed.

    Args:
      directory: the run directory, claimed.
      spec: the description of the model.
      on_failed_save: if a checkpoint cannot be saved, "stop" the run or "continue" without it.
      note: called with a sentence for the user.
    """

    def __init__(
        self,
        directory: RunDirectory,
        spec: ModelSpec,
        *,
        on_failed_save: str,
        note: Callable[[str], None],
    ):
        self._directory = directory
        self._spec = spec
        self._framing: Framing | None = None
        self._on_failed_save = on_failed_save
        self._note = note
        self._checkpoints = Checkpoints(directory.path, report=note)
        self._unsaved: SaveFailed | None = None  # since the last checkpoint

    def restore(self, like: TrainState) -> tuple[TrainState, RunProgress, dict[str, Any]] | None:
        """The arrays and the progress of the last checkpoint, and the position of the input.

        Raises:
          UserError: its data, labels or preprocessing differ from the run's; or it is unreadable.
        """
        restored = self._checkpoints.restore(like, check=self._check_about)
        step = 0 if restored is None else restored[1].step
        # A killed start may have saved a best epoch after its last checkpoint.
        self._checkpoints.drop_later("best", step)
        if restored is None:
            return None
        state, about = restored
        progress = RunProgress.from_json(about.progress)
        return state, progress, about.progress["input_position"]

    def frame(self, data: RunData) -> None:
        """Measures where faces lie in the training images, for the checkpoints from now on."""
        self._framing = framing(data)

    @property
    def _described(self) -> dict[str, Any]:
        return dataclasses.replace(self._spec, framing=self._framing).to_json()

    def _check_about(self, about: About) -> None:
        RunProgress.check(about.progress)
        self._check_spec(about.spec)

    def _check_spec(self, stored: dict[str, Any]) -> None:
        for field, value in self._spec.to_json().items():
            if field in stored and stored[field] != value:
                raise UserError(
                    f"The checkpoint in {self._directory.path} was made with {field} = "
                    f"{stored[field]!r}, but the data set and config give {value!r}. Prepare the "
                    "data set it was trained on, or start in another workdir."
                )

    def save_best(self, step: int, weights: Weights) -> bool:
        """Saves the weights of the best epoch and waits; false if that failed.

        The `last` checkpoint, which needs them, comes after.
        """
        self.finish()
        try:
            self._checkpoints.save_best(step, weights, self._described)
            self._checkpoints.wait()
        except SaveFailed as error:
            self._handle_failed(error)
            return False
        return True

    def save_last(
        self,
        step: int,
        state: TrainState,
        progress: RunProgress,
        input_position: dict[str, Any],
        flush: Callable[[], None],
    ) -> None:
        """Saves what a resume needs; returns before it is on disk.

        Args:
          step: updates made.
          state: after them.
          progress: the state of the run apart from its arrays.
          input_position: the position of the next batch.
          flush: writes every row of metrics.jsonl up to this step to disk; called first, because
            the checkpoint must not be saved without these rows.
        """
        try:
            try:
                flush()
            except OSError as error:
                what = f"metrics.jsonl up to step {step}"
                raise save_failed(what, self._directory.path, error) from None
            stands = {**progress.to_json(), "input_position": input_position}
            self._checkpoints.save_last(step, state, self._described, stands)
            self._unsaved = None
        except SaveFailed as error:
            self._handle_failed(error)

    def finish(self) -> None:
        """Waits for the previous save; raises if another process has taken the folder."""
        self._directory.check_held()
        try:
            self._checkpoints.wait()
        except SaveFailed as error:
            self._handle_failed(error)

    def check_saved(self) -> None:
        """Waits for the previous save; raises its error, or one since the last checkpoint."""
        self._checkpoints.wait()
        if self._unsaved is not None:
            raise self._unsaved

    def best(self, step: int, like: Weights) -> Weights:
        """The weights of the best epoch, which ended with `step`.

        Raises:
          UserError: they are missing, damaged, or of another epoch or run.
        """
        where = f"{self._directory.path}/checkpoints/best"
        # By the saver's own count: a network file system may list an older state of the folder.
        newest = self._checkpoints.latest("best")
        if newest is None:
            raise UserError(
                f"{where} has no checkpoint: it could not be saved, or is gone. Restore it from a "
                "copy, or start again in an empty workdir."
            )
        stored = checkpoint_files.at(self._checkpoints.path("best", newest))
        found = stored.about.step
        processes.check_equal("The step of the best checkpoint", str(found))
        if found != step:
            raise UserError(
                f"{where} has step {found}, and the best epoch ended with step {step}. Restore it "
                "from a copy, or start again in an empty workdir."
            )
        self._check_spec(stored.about.spec)
        return stored.weights(like)

    def last_good(self) -> str:
        """A sentence: which checkpoint is the last good one."""
        self._checkpoints.wait()
        step = self._checkpoints.latest("last")
        if step is None:
            return "There is no checkpoint before it."
        return (
            f"The last good checkpoint is that of step {step}: "
            f"{self._checkpoints.path('last', step)}."
        )

    def close(self) -> None:
        """Waits for the saves and ends the threads that make them."""
        self._checkpoints.close()

    def _handle_failed(self, error: SaveFailed) -> None:
        """Raises the error of a failed save, or reports it if the config continues without it."""
        # With several processes one may fail alone, while the others wait for its save.
        if self._on_failed_save == "stop" or jax.process_count() > 1:
            raise error
        self._unsaved = error
        self._note(f"{error} Going on without it, as train.on_failed_save says.")
