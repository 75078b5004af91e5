"""Saving and restoring training states: the only file that imports orbax.

A run directory holds `checkpoints/last/STEP` (the newest two) and `checkpoints/best/STEP`. Each has
the arrays of a state and a JSON object `meta` with what is needed to use them: position of the
input, early stopping, model, label names, preprocessing, fingerprint of the data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath

from ferjax.errors import UserError

FORMAT = 2
KEEP_LAST = 2
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
        root = epath.Path(workdir).absolute() / "checkpoints"
        self._report = report
        self._managers = {
            "last": _manager(root / "last", KEEP_LAST),
            "best": _manager(root / "best", 1),
        }

    def save(self, kind: str, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Saves `state` (a pytree of arrays) and `meta` (JSON) as `kind`, "last" or "best".

        A checkpoint of the same or a later step, left by a run that was cut off after it, is
        replaced: training repeats those steps.
        """
        manager = self._managers[kind]
        manager.wait_until_finished()
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
                self._report(f"Using the {kind} checkpoint of step {step} instead.")
            return restored[_STATE], restored[_META]
        if failures:
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
        """Returns when every save is on disk."""
        for manager in self._managers.values():
            manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the saves and ends orbax's threads."""
        for manager in self._managers.values():
            manager.close()


def abstract(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Shapes and types of `tree`, to be restored with `sharding`."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def _manager(directory: epath.Path, keep: int) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
        directory,
        options=ocp.CheckpointManagerOptions(
            max_to_keep=keep, create=True, enable_async_checkpointing=True
        ),
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
