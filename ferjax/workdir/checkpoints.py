"""Saving and restoring training states: the only file that imports orbax.

A run directory holds the newest two of `checkpoints/last/STEP` and of `checkpoints/best/STEP`: a
run that is cut off between the two needs the best one that its last one knows of. Each has the
arrays of a state and a JSON object `meta` with what is needed to use them: position of the input,
early stopping, model, label names, preprocessing, fingerprint of the data.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import orbax.checkpoint as ocp
from etils import epath

from ferjax import filesystem
from ferjax.errors import SaveFailed, UserError

FORMAT = 3
KEEP = 2
_STATE, _META = "state", "meta"


class Checkpoints:
    """The checkpoints of one run directory.

    Saves are atomic: an interrupted one leaves a temporary folder that is never read. Saving
    returns once the arrays are copied off the device; `wait` returns once they are on disk.

    Args:
      workdir: the run directory, local or remote.
      report: called with a sentence when something worth knowing happens.
    """

    def __init__(self, workdir: epath.PathLike, *, report: Callable[[str], None] = print):
        root = filesystem.absolute(workdir) / "checkpoints"
        self._report = report
        # What an object store and the libraries below it raise has no common class.
        remote = filesystem.is_remote(root)
        self._errors = (Exception,) if remote else (OSError, ValueError, RuntimeError)
        try:
            self._managers = {kind: _manager(root / kind) for kind in ("last", "best")}
        except UserError:
            raise
        except self._errors as error:
            raise save_failed("Checkpoints", root, error) from None
        self._saving: dict[str, int] = {}

    def save(self, kind: str, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Saves `state` (a pytree of arrays) and `meta` (JSON) as `kind`, "last" or "best".

        A checkpoint of the same or a later step, left by a run that was cut off after it, is
        replaced: training repeats those steps.

        Raises:
          SaveFailed: it, or the one before it, cannot be written; a save that fails later raises at
            the next call of `save` or `wait`.
        """
        self.wait()
        with self._reporting(kind, step):
            self._save(kind, step, state, meta)

    def _save(self, kind: str, step: int, state: Any, meta: dict[str, Any]) -> None:
        manager = self._managers[kind]
        self._saving[kind] = step
        for stale in [old for old in manager.all_steps() if old >= step]:
            manager.delete(stale)
        manager.save(
            step,
            args=ocp.args.Composite(
                **{
                    _STATE: ocp.args.StandardSave(state),
                    _META: ocp.args.JsonSave({"format": FORMAT, **meta}),
                }
            ),
            force=True,
        )

    def drop_later(self, kind: str, step: int) -> None:
        """Removes the checkpoints of later steps, left by a run that was cut off after them.

        Raises:
          SaveFailed: they cannot be removed.
        """
        manager = self._managers[kind]
        with self._reporting(kind, step):
            for stale in [later for later in manager.all_steps() if later > step]:
                manager.delete(stale)

    def restore(self, kind: str, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """Restores the newest readable checkpoint, or returns None if there is none at all.

        Args:
          kind: "last" or "best".
          like: a pytree of arrays or `jax.ShapeDtypeStruct` with the shapes, types and shardings
            to restore to.

        Returns:
          (state, meta). Where the newest cannot be read, that is reported and the one before it
          is used.

        Raises:
          UserError: there are checkpoints, but none can be read, or in another format.
        """
        manager = self._managers[kind]
        failures = []
        self.meta(kind)  # refuses another format before its arrays seem damaged
        for step in sorted(manager.all_steps(), reverse=True):
            try:
                restored = manager.restore(
                    step,
                    args=ocp.args.Composite(
                        **{
                            _STATE: ocp.args.StandardRestore(like),
                            _META: ocp.args.JsonRestore(),
                        }
                    ),
                )
            except (OSError, ValueError, KeyError, TypeError) as error:
                failures.append(f"step {step}: {_first_line(error)}")
                self._report(
                    f"The {kind} checkpoint of step {step} cannot be read "
                    f"({_first_line(error)}); trying the one before it."
                )
                continue
            if failures:
                _collect_unfinished_reads()
                self._report(f"Using the {kind} checkpoint of step {step} instead.")
            return restored[_STATE], restored[_META]
        if failures:
            _collect_unfinished_reads()
            raise UserError(
                f"No {kind} checkpoint in {manager.directory} can be read: {'; '.join(failures)}. "
                "Restore the folder from a copy, or start again in an empty workdir."
            )
        return None

    def meta(self, kind: str) -> dict[str, Any] | None:
        """The JSON object of the newest checkpoint whose object can be read, or None.

        Raises:
          UserError: it was written in another format, by another version of ferjax.
        """
        manager = self._managers[kind]
        for step in sorted(manager.all_steps(), reverse=True):
            try:
                text = (manager.directory / str(step) / _META / "metadata").read_text()
                meta = json.loads(text)
            except (OSError, ValueError):
                continue
            if meta.get("format") != FORMAT:
                raise UserError(
                    f"The {kind} checkpoint of step {step} in {manager.directory} has format "
                    f"{meta.get('format')}, and this version of ferjax reads format {FORMAT}. Use "
                    "the version that wrote it, or train again in an empty workdir."
                )
            return meta
        return None

    def latest(self, kind: str) -> int | None:
        """Step of the newest checkpoint, or None."""
        return self._managers[kind].latest_step()

    def path(self, kind: str, step: int) -> epath.Path:
        """Where the checkpoint of `step` lies."""
        return epath.Path(self._managers[kind].directory) / str(step)

    def wait(self) -> None:
        """Returns when every save is on disk.

        Raises:
          SaveFailed: one is not, and will not be.
        """
        for kind, manager in self._managers.items():
            with self._reporting(kind, self._saving.get(kind)):
                manager.wait_until_finished()

    @contextlib.contextmanager
    def _reporting(self, kind: str, step: int | None) -> Iterator[None]:
        """Turns what orbax raises into a SaveFailed, after removing what the save left behind."""
        manager = self._managers[kind]
        try:
            yield
        except UserError:
            raise
        except self._errors as error:
            whole = ""
            with contextlib.suppress(*self._errors):  # the folder itself may be what fails
                for leftover in manager.directory.glob("*orbax-checkpoint-tmp*"):
                    _remove(leftover)
                manager.reload()
                last = manager.latest_step()
                whole = "There is none before it."
                if last is not None:
                    whole = f"That of step {last} is whole."
            what = f"The {kind} checkpoint of step {step}"
            raise save_failed(what, manager.directory, error, whole) from None

    def close(self) -> None:
        """Waits for the saves and ends orbax's threads."""
        for manager in self._managers.values():
            manager.close()


def save_failed(what: str, folder: Any, error: Exception, kept: str = "") -> SaveFailed:
    """The error that says that `what` could not be saved in `folder`; `kept` is left of it."""
    return SaveFailed(
        f"{what} cannot be saved in {folder} ({_first_line(error)}).{kept and ' ' + kept} Make "
        "room there, or let it be written; the same command resumes the run."
    )


class _Manager(ocp.CheckpointManager):
    """Orbax's manager, without its own question whether to stop.

    It would ask with steps of its own, some from another thread, and so spoil the answer to
    `processes.stop_agreed`.
    """

    def reached_preemption(self, step: int) -> bool:
        return False


def _manager(directory: epath.Path) -> ocp.CheckpointManager:
    return _Manager(
        directory,
        options=ocp.CheckpointManagerOptions(
            max_to_keep=KEEP, create=True, enable_async_checkpointing=True
        ),
    )


def _remove(leftover: epath.Path) -> None:
    """Removes what a failed save left, as far as that is possible.

    Orbax raises at the first thread that fails, while others still write into the folder. One that
    stays is never read, and gives way when its step is saved again.
    """
    for pause in (0.0, 0.1, 0.4, 1.6):
        time.sleep(pause)
        with contextlib.suppress(OSError):
            leftover.rmtree(missing_ok=True)
            return


def _collect_unfinished_reads() -> None:
    """Frees the reads that a failed restore left waiting.

    Python would print a traceback for each of them whenever its collector came by.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
