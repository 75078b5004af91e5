"""Packs the model of a finished run into one file, with its model card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import sys
from collections.abc import Mapping
from typing import Any, TypedDict

from ferjax import filesystem, stored_json
from ferjax.analysis.card import figures, text
from ferjax.analysis.card.figures import PackedFile
from ferjax.cli import output
from ferjax.config import stored
from ferjax.errors import UserError, one_line
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.filesystem import Place
from ferjax.inference import packed
from ferjax.training.framing import framing
from ferjax.workdir.directory import RunDirectory, own_files


class _Written(TypedDict):
    """What is read of the figures of an earlier card."""

    card: stored_json.Sha256


def pack(
    workdir: str,
    file: str,
    *,
    dtype: str = "bfloat16",
    card: bool = True,
    data_dir: str | None = None,
) -> tuple[Place, ...]:
    """Writes the model of a run's best epoch; beside it its card (.md) and the figures (.json).

    Args:
      workdir: the finished run.
      file: the file to write, which ends in .safetensors.
      dtype: of the parameters, one of `packed.DTYPES`.
      card: whether the model is tested and described; this reads the test split.
      data_dir: where the data set is; the run's by default, for reading alone.

    Returns:
      The files that were written.

    Raises:
      UserError: the run is not finished, damaged, or of a model that says of a face what depends on
        other faces; its data set is not there, or another one; or a file cannot be written.
    """
    targets = _targets(workdir, file, card)
    directory = RunDirectory(workdir)
    config = stored.of_run(directory)
    result = directory.result()
    if result is None:
        raise UserError(
            f"{directory.path} has no result.json: the run has not ended. Run its command again "
            "to the end."
        )
    run = FinishedRun.open(directory, config, "best")
    run.trained.classifier()  # refuses a model that cannot be used face by face
    run = _framed(run, data_dir)
    content = packed.pack(run.trained, dtype)
    written = {targets[0]: content}
    if card:
        made = PackedFile(
            name=targets[0].name,
            num_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            dtype=dtype,
            command=_command(targets[0].name, workdir, dtype, data_dir),
        )
        tested = dataclasses.replace(run, trained=packed.unpack(content, targets[0]))
        found = figures.measure(tested, result, made, data_dir)
        written |= _card(targets, found)
    for place, data in written.items():
        _write(place, data)
    return targets


def _targets(workdir: str, file: str, card: bool) -> tuple[Place, ...]:
    """The files that are written, if they can be."""
    if not file.endswith(packed.SUFFIX):
        raise UserError(
            f"--output is {file}; expected the name of a file ending in {packed.SUFFIX}."
        )
    stem = file.removesuffix(packed.SUFFIX)
    names = [file, *([f"{stem}.json", f"{stem}.md"] if card else [])]
    for name in names:
        filesystem.check_output("--output", name, own_files(workdir))
    _check_beside(filesystem.of(f"{stem}.json"), filesystem.of(f"{stem}.md"), card_is_written=card)
    return tuple(map(filesystem.of, names))


def _check_beside(numbers: Place, card: Place, *, card_is_written: bool) -> None:
    """Refuses to replace a card that somebody has changed, and files that are none."""
    there = [place for place in (numbers, card) if filesystem.exists(place)]
    if not there:
        return
    names = " and ".join(place.name for place in there)
    fix = "move what is there to another place, or name another file"
    if not card_is_written:
        raise UserError(f"Beside --output lies {names}, which would be of another model: {fix}.")
    try:
        found = filesystem.read_json(numbers, _Written, fix=fix)
        is_as_made = found["card"] == hashlib.sha256(filesystem.read_bytes(card)).hexdigest()
    except (OSError, UserError):
        is_as_made = False
    if not is_as_made:
        raise UserError(
            f"Beside --output lies {names}, which is no card as this command makes it, or one that "
            f"was changed since: {fix}."
        )


def _framed(run: FinishedRun, data_dir: str | None) -> FinishedRun:
    """The run with the place of faces in its training images, which old checkpoints lack."""
    spec = run.trained.spec
    if spec.framing is not None:
        return run
    data = run.data(data_dir)
    spec.check_same_data(data.source, run.trained.where)
    measured = framing(data)
    if measured is None:
        output.say(
            "Few of the training images show a face that the detector finds: the packed model "
            "takes crops of faces, no photographs.",
            file=sys.stderr,
        )
    trained = dataclasses.replace(run.trained, spec=dataclasses.replace(spec, framing=measured))
    return dataclasses.replace(run, trained=trained)


def _card(targets: tuple[Place, ...], found: Mapping[str, Any]) -> dict[Place, bytes]:
    _, numbers, card = targets
    made = text.markdown(numbers.name.removesuffix(".json"), found).encode()
    told = {**found, "card": hashlib.sha256(made).hexdigest()}
    return {
        numbers: (json.dumps(told, indent=2, allow_nan=False) + "\n").encode(),
        card: made,
    }


def _command(name: str, workdir: str, dtype: str, data_dir: str | None) -> str:
    """What makes the file, for people: of the folders of this machine only the last one is told."""
    is_near = not os.path.isabs(workdir) and not filesystem.is_remote(workdir)
    run = workdir if is_near else workdir.rstrip("/").rpartition("/")[2]
    chosen = "" if dtype == "bfloat16" else f" --dtype={dtype}"
    chosen += "" if data_dir is None else " --data_dir=FOLDER"
    return one_line(
        f"python -m ferjax.models.pack --workdir={shlex.quote(run)} "
        f"--output={shlex.quote(name)}{chosen}"
    )


def _write(place: Place, data: bytes) -> None:
    try:
        filesystem.write(place, data)
    except OSError as error:
        raise UserError(
            f"{place} cannot be written ({filesystem.problem(place, error)}): make room there, or "
            "name another file."
        ) from None
