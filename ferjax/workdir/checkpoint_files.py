"""The format of a checkpoint on disk, and reading it without changing the folder.

A run directory has `checkpoints/best/STEP` and `checkpoints/last/STEP`. Format 4 of a checkpoint:

    weights    the arrays that evaluation and prediction use
    training   only in `last`: the other arrays that a resume needs
    meta       a JSON object: format; spec, the description of the weights (`inference.model_spec`);
               progress, the state of the run apart from its arrays; sha256 of weights, of training,
               and of spec with progress

Format 3, of earlier versions, has all arrays in `state`, no digests, and the fields of spec and
progress next to `format`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from ferjax import filesystem, local_files, refusals, stored_json
from ferjax.errors import UserError
from ferjax.workdir import array_items, digests, orbax_threads, schemas
from ferjax.workdir.array_items import UNREADABLE, Damaged, first_line

FOLDER = "checkpoints"
FORMAT = 4
STATE_FORMAT = 3  # with one item `state`
WEIGHTS, TRAINING, META, STATE = "weights", "training", "meta", "state"


class About(NamedTuple):
    """The JSON object of a checkpoint.

    Attributes:
      step: updates made.
      format: 4, or 3 of earlier versions.
      spec: the description of the weights, as JSON.
      progress: the state of the run apart from its arrays, as JSON; only in `last`.
      sha256: the digests of "weights" and "training"; empty in format 3.
    """

    step: int
    format: int
    spec: dict[str, Any]
    progress: dict[str, Any]
    sha256: dict[str, str]


def folder(workdir: epath.PathLike, kind: str) -> epath.Path:
    """Where the checkpoints of a kind, "best" or "last", lie."""
    return filesystem.absolute(workdir) / FOLDER / kind


def steps(found: epath.Path) -> list[int]:
    """Steps of the whole checkpoints in a folder, the newest first; none without the folder.

    Raises:
      UserError: something else is in the place of the folder, or it cannot be read.
    """
    try:
        if not found.exists():
            return []
        names = [path.name for path in found.iterdir() if path.name.isdecimal()]
        names = [name for name in names if str(int(name)) == name]
        whole = [int(name) for name in names if filesystem.is_whole(found / name)]
    except OSError as error:
        raise UserError(
            f"{found} is no folder of checkpoints that can be read "
            f"({filesystem.problem(found, error)}): restore it from a copy, or check who may read "
            "it."
        ) from None
    return sorted(whole, reverse=True)


def meta(
    *,
    spec: Mapping[str, Any],
    progress: Mapping[str, Any],
    sha256: Mapping[str, str],
) -> dict[str, Any]:
    """The JSON object of a checkpoint in format 4; `sha256` has the digests of the arrays."""
    about = {"spec": spec, "progress": progress}
    return {"format": FORMAT, **about, "sha256": {**sha256, META: digests.of_json(about)}}


def read_about(checkpoint: epath.Path) -> About:
    """Reads the JSON object of `checkpoints/KIND/STEP`.

    Raises:
      UserError: it has a format that this version does not read.
      OSError, Damaged: it is missing or damaged.
    """
    file, step = checkpoint / META / "metadata", int(checkpoint.name)
    try:
        fields = filesystem.load_json(file, stored_json.Object)
        found = fields.get("format")
        if found == STATE_FORMAT:
            return About(step, STATE_FORMAT, fields, fields, {})
        if isinstance(found, int) and found != FORMAT:
            raise UserError(
                f"The checkpoint of step {step} in {checkpoint.parent} has format {found}, and "
                f"this version of ferjax reads formats {STATE_FORMAT} and {FORMAT}. Use the "
                "version that wrote it, or train again in an empty workdir."
            )
        stored_json.check(fields, schemas.Meta)
    except FileNotFoundError:
        raise Damaged(f"its description, {META}/{file.name}, is missing") from None
    except stored_json.Unfit as error:
        raise Damaged(f"its description {error}") from None
    about = {"spec": fields["spec"], "progress": fields["progress"]}
    if digests.of_json(about) != fields["sha256"].get(META):
        raise Damaged("its description does not have the SHA-256 that it was saved with")
    return About(step, found, fields["spec"], fields["progress"], fields["sha256"])


def check_arrays(tree: Any, what: str, about: About) -> None:
    """Raises a `Damaged` unless the arrays have the digest that was saved with them."""
    if about.format != STATE_FORMAT and digests.of_arrays(tree) != about.sha256.get(what):
        raise Damaged(f"its arrays in {what} do not have the SHA-256 that they were saved with")


def check_files(checkpoint: epath.Path) -> None:
    """Raises an OSError if a local checkpoint holds what is no file: to read a FIFO would hang."""
    if not filesystem.is_remote(checkpoint):
        local_files.check_tree(checkpoint)


class Stored(NamedTuple):
    """A checkpoint whose weights can be read.

    Attributes:
      folder: `checkpoints/KIND/STEP`.
      about: its JSON object.
    """

    folder: epath.Path
    about: About

    def weights(self, like: Any) -> Any:
        """Reads the weights and nothing else, and writes nothing.

        Args:
          like: the weights as `jax.ShapeDtypeStruct` with the shardings to restore to.

        Raises:
          UserError: they are missing or damaged.
        """
        item = self.folder / (WEIGHTS if self.about.format != STATE_FORMAT else STATE)
        with orbax_threads.quiet() as after_failure:
            try:
                array_items.check_listed(item)
                with array_items.reading(item.name):
                    restored = self._restored(item, like)
                check_arrays(restored, WEIGHTS, self.about)
                return restored
            except UNREADABLE as error:
                failed = _unusable(self.folder, error)
            after_failure()
        raise failed

    def centers(self) -> np.ndarray | None:
        """The centres [K, D] of a center or island loss; None without such a loss.

        Only checkpoints of the kind "last" have them.

        Raises:
          UserError: they are damaged.
        """
        item = self.folder / TRAINING
        if self.about.format == STATE_FORMAT or not item.exists():
            return None
        with orbax_threads.quiet():
            reader = ocp.PyTreeCheckpointer()
            try:
                array_items.check_listed(item)
                with array_items.reading(item.name):
                    found = _tree(reader, item).get("centers")
                    if found is None or not hasattr(found, "shape"):
                        return None
                    wanted = {"centers": np.zeros(found.shape, np.float32)}
                    arguments = ocp.args.PyTreeRestore(
                        item=wanted,
                        restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                        partial_restore=True,
                    )
                    return np.asarray(reader.restore(item, args=arguments)["centers"])
            except UNREADABLE as error:
                raise _unusable(self.folder, error) from None
            finally:
                reader.close()

    def _restored(self, item: epath.Path, like: Any) -> Any:
        old, wanted = self.about.format == STATE_FORMAT, like
        reader = ocp.PyTreeCheckpointer()
        try:
            if old:
                average = _tree(reader, item).get("average")
                wanted = {"average" if jax.tree.leaves(average) else "weights": like}
            restored = reader.restore(
                item,
                args=ocp.args.PyTreeRestore(
                    item=wanted,
                    restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
                    partial_restore=old,
                ),
            )
        except ValueError as error:
            if not re.match(r"[A-Z_]+: ", str(error)):  # else tensorstore cannot read its files
                _check_like(_tree(reader, item), wanted)
            raise
        finally:
            reader.close()
        return restored.popitem()[1] if old else restored


def _tree(reader: ocp.PyTreeCheckpointer, item: epath.Path) -> Any:
    """The tree of an item, with shapes."""
    found = reader.metadata(item).item_metadata
    if found is None:  # what orbax makes of arrays that it cannot open
        raise Damaged(f"its arrays in {item.name} cannot be read")
    return found.tree


def _check_like(stored: Any, like: Any) -> None:
    """Raises a `Damaged` unless the stored arrays are those of the model."""
    unlike = array_items.difference(stored, like)
    if unlike:
        raise Damaged(
            f"its weights are not those of the model that its description names: {unlike}"
        )


def newest(workdir: epath.PathLike, kind: str) -> Stored | None:
    """The newest checkpoint of a kind, "best" or "last", or None if there is none.

    Raises:
      UserError: it is damaged, or has a format that this version does not read.
    """
    found = folder(workdir, kind)
    for step in steps(found)[:1]:
        return at(found / str(step))
    return None


def at(checkpoint: epath.Path) -> Stored:
    """The checkpoint `checkpoints/KIND/STEP`.

    Raises:
      UserError: it is damaged, or has a format that this version does not read.
    """
    try:
        check_files(checkpoint)
        return Stored(checkpoint, read_about(checkpoint))
    except UNREADABLE as error:
        raise _unusable(checkpoint, error) from None


def _unusable(checkpoint: epath.Path, error: Exception) -> UserError:
    advice = refusals.advice(
        refusals.behind(error) or error,
        "resume the run, restore the folder from a copy, or train again in an empty workdir",
    )
    return UserError(
        f"The {checkpoint.parent.name} checkpoint of step {checkpoint.name} in "
        f"{checkpoint.parent} cannot be used ({first_line(error)}): {advice}."
    )
