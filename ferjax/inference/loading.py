"""A trained model by name, or from a packed file."""

from __future__ import annotations

import os
from pathlib import Path

from ferjax import filesystem, local_files, refusals
from ferjax.errors import UserError, some
from ferjax.inference import packed
from ferjax.inference.shipped import fetching, manifest
from ferjax.inference.trained_model import TrainedModel


def ready(source: str | os.PathLike[str], checkpoint: str = "best") -> TrainedModel | None:
    """The model of a packed file or of a name in the manifest; None for any other path.

    Args:
      source: a text without a separator may be a name; a path object is none.
      checkpoint: "best"; a run has others.

    Raises:
      UserError: it is a name and a file or folder at once, or neither, or cannot be read.
    """
    if isinstance(source, str) and _is_name(source):
        if os.path.lexists(source):
            raise UserError(
                f"{source} is the name of a model, and there is something of that name in the "
                f"working folder: ./{source} means that one. To have the model, rename it or go to "
                "another folder."
            )
        _check_best(source, checkpoint)
        return named(source)
    if isinstance(source, str) and _looks_like_a_name(source):
        names = [one.name for one in manifest.entries().values() if one.kind == "model"]
        raise UserError(
            f"There is no model {source!r}, and no folder of that name here; expected the name of "
            f"a model ({some(names, 20)}), a packed file, or a run directory."
        )
    if os.fspath(source).endswith(packed.SUFFIX) and not os.path.isdir(source):
        _check_best(source, checkpoint)
        return of_file(source)
    return None


def named(name: str) -> TrainedModel:
    """The model of a name in the manifest; raises as `fetching.fetched` does."""
    path, data = fetching.fetched(name, "model")
    return packed.unpack(data, path)


def of_file(path: str | os.PathLike[str]) -> TrainedModel:
    """The model of a packed file.

    Raises:
      UserError: it cannot be read, or is no packed model; see `packed.unpack`.
    """
    place = filesystem.local(path, "A packed model")
    try:
        return packed.unpack(local_files.read(place), place)
    except OSError as error:
        raise UserError(f"{place} cannot be read ({refusals.problem(error)}).") from None


def _is_name(text: str) -> bool:
    entry = manifest.entries().get(text)
    return entry is not None and entry.kind == "model"


def _looks_like_a_name(text: str) -> bool:
    """Whether a text names nothing in the working folder, and is no path to elsewhere."""
    is_plain = text != "" and os.path.basename(text) == text and "." not in text
    return is_plain and not os.path.lexists(text)


def _check_best(source: str | os.PathLike[str], checkpoint: str) -> None:
    if checkpoint != "best":
        raise UserError(
            f"checkpoint is {checkpoint!r}, and {Path(source)} has one set of weights; leave it "
            "out."
        )
