"""Saving training states, and restoring them to resume a run.

A run directory holds the newest two of `checkpoints/last/STEP` and of `checkpoints/best/STEP`: a
run killed between saving the two needs the best one that its last one refers to. `checkpoint_files`
documents their content, and reads the weights alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

import orbax.checkpoint as ocp
from etils import epath

from ferjax import filesystem
from ferjax.errors import SaveFailed, UserError
from ferjax.workdir import array_items, digests, orbax_threads
from ferjax.workdir import checkpoint_files as files
from ferjax.workdir.array_items import UNREADABLE, first_line
from ferjax.workdir.checkpoint_files import About

KEEP = 2


@runtime_checkable
class State(Protocol):
    """A pytree of arrays whose evaluated weights are stored apart."""

    def split(self) -> tuple[Any, Any]:
        """The evaluated weights, and the state without them."""
        ...

    def joined(self, weights: Any) -> Any:
        """Undoes `split`: the whole state, from this one and `weights`."""
        ...


S = TypeVar("S", bound=State)


class Checkpoints:
    """The checkpoints of one run directory.

    Saves are atomic: an interrupted one leaves a temporary folder that is never read. Saving
    returns once the arrays are copied off the device; `wait` returns once they are on disk.

    Args:
      workdir: the run directory, local or remote.
      report: called with a sentence when something worth knowing happens.
    """

    def __init__(self, workdir: epath.PathLike, *, report: Callable[[str], None] = print):
        root = filesystem.absolute(workdir) / files.FOLDER
        orbax_threads.quieten()
        self._report = report
        # The errors of an object store and its libraries have no common class.
        remote = filesystem.is_remote(root)
        self._errors = (Exception,) if remote else (OSError, ValueError, RuntimeError)
        try:
            self._managers = {kind: _manager(root / kind) for kind in ("last", "best")}
        except UserError:
            raise
        except self._errors as error:
            raise save_failed("Checkpoints", root, error) from None
        self._saving: dict[str, int] = {}

    def save_best(self, step: int, weights: Any, spec: Mapping[str, Any]) -> None:
        """Saves evaluated weights (a pytree of arrays), and their description (JSON).

        Raises:
          SaveFailed: see `save_last`.
        """
        self._save("best", step, {files.WEIGHTS: weights}, spec, {})

    def save_last(
        self, step: int, state: State, spec: Mapping[str, Any], progress: Mapping[str, Any]
    ) -> None:
        """Saves what a resume needs: the state, the description of its weights, and the progress.

        A checkpoint of the same or a later step, left by a killed run, is replaced: training
        repeats those steps.

        Raises:
          SaveFailed: it, or the one before it, cannot be written; a save that fails later raises at
            the next call of `save_last`, `save_best` or `wait`.
        """
        weights, training = state.split()
        arrays = {files.WEIGHTS: weights, files.TRAINING: training}
        self._save("last", step, arrays, spec, progress)

    def _save(
        self,
        kind: str,
        step: int,
        arrays: Mapping[str, Any],
        spec: Mapping[str, Any],
        progress: Mapping[str, Any],
    ) -> None:
        self.wait()
        sha256 = {name: digests.of_arrays(tree) for name, tree in arrays.items()}
        items = {name: ocp.args.StandardSave(tree) for name, tree in arrays.items()}
        items[files.META] = ocp.args.JsonSave(
            files.meta(spec=spec, progress=progress, sha256=sha256)
        )
        with self._reporting(kind, step):
            manager = self._managers[kind]
            self._saving[kind] = step
            for stale in [old for old in manager.all_steps() if old >= step]:
                manager.delete(stale)
            manager.save(step, args=ocp.args.Composite(**items), force=True)

    def drop_later(self, kind: str, step: int) -> None:
        """Removes the checkpoints of later steps, left by a killed run.

        Raises:
          SaveFailed: they cannot be removed.
        """
        manager = self._managers[kind]
        with self._reporting(kind, step):
            for stale in [later for later in manager.all_steps() if later > step]:
                manager.delete(stale)

    def restore(
        self, like: S, check: Callable[[About], None] = lambda about: None
    ) -> tuple[S, About] | None:
        """Restores the newest readable `last` checkpoint, or returns None if there is none at all.

        Args:
          like: a state of arrays or `jax.ShapeDtypeStruct` with the shapes, types and shardings to
            restore to.
          check: raises a ValueError for what a checkpoint says if it is damaged.

        Returns:
          The state, and the JSON object of the checkpoint. If the newest checkpoint cannot be read,
          or differs from what was saved, this is reported and the one before it is used.

        Raises:
          UserError: there are checkpoints, but none can be read, or in another format.
        """
        failures: list[str] = []
        with orbax_threads.quiet() as after_failure:
            restored = self._newest_readable(like, check, failures)
            if failures:
                after_failure()
        if restored is None and failures:
            raise UserError(
                f"No last checkpoint in {self._managers['last'].directory} can be read: "
                f"{'; '.join(failures)}. Restore the folder from a copy, or start again in an "
                "empty workdir."
            )
        if restored is not None and failures:
            step = restored[1].step
            self._report(f"Using the last checkpoint of step {step} instead.")
        return restored

    def _newest_readable(
        self, like: S, check: Callable[[About], None], failures: list[str]
    ) -> tuple[S, About] | None:
        """As `restore`; appends what is wrong with those that cannot be read to `failures`."""
        steps = sorted(self._managers["last"].all_steps(), reverse=True)
        for step in steps:
            try:
                return self._read(self.path("last", step), like, check)
            except UNREADABLE as error:
                why = first_line(error)
            failures.append(f"step {step}: {why}")
            if step != steps[-1]:
                self._report(
                    f"The last checkpoint of step {step} cannot be read ({why}); trying the one "
                    "before it."
                )
        return None

    def _read(
        self, checkpoint: epath.Path, like: S, check: Callable[[About], None]
    ) -> tuple[S, About]:
        files.check_files(checkpoint)
        about = files.read_about(checkpoint)
        check(about)
        return self._restore(about, like), about

    def _restore(self, about: About, like: S) -> S:
        if about.format == files.STATE_FORMAT:
            wanted = {files.STATE: like}
        else:
            wanted = dict(zip((files.WEIGHTS, files.TRAINING), like.split(), strict=True))
        for name in wanted:
            array_items.check_listed(self.path("last", about.step) / name)
        with array_items.reading(" or ".join(wanted)):
            restored = self._managers["last"].restore(
                about.step,
                args=ocp.args.Composite(
                    **{name: ocp.args.StandardRestore(tree) for name, tree in wanted.items()}
                ),
            )
        if about.format == files.STATE_FORMAT:
            return restored[files.STATE]
        for name in wanted:
            files.check_arrays(restored[name], name, about)
        return restored[files.TRAINING].joined(restored[files.WEIGHTS])

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
        """Turns an error of orbax into a SaveFailed, after removing what the save left behind."""
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
    """The error for a failed save of `what` in `folder`; `kept` says what is still whole."""
    return SaveFailed(
        f"{what} cannot be saved in {folder} ({first_line(error)}).{kept and ' ' + kept} Make "
        "room there, or let it be written; the same command resumes the run."
    )


class _Manager(ocp.CheckpointManager):
    """Orbax's manager without its own preemption check.

    That check would count extra steps, some from another thread, and so break
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

    Orbax raises at the first thread that fails, while others still write into the folder. A folder
    that remains is never read, and is replaced when its step is saved again.
    """
    for pause in (0.0, 0.1, 0.4, 1.6):
        time.sleep(pause)
        with contextlib.suppress(OSError):
            leftover.rmtree(missing_ok=True)
            return
