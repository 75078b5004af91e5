"""The predictions for a split, example by example: a file in a run directory.

`predictions/SPLIT.safetensors` in a run directory holds, for N examples and K classes:

    index                int32 [N], position of the example in the split of the prepared data
    label                int32 [N], its true class
    probabilities.VIEW   float32 [N, K], averaged over the images of a test-time view
    group.GROUP          bool [N], whether the example belongs to a group, such as test_clean

and as one JSON text, `about`: format, split, labels, fingerprint of the data, `images`, a SHA-256
over the pixels of the examples in their order, and `subjects`, the person shown in each example
where the data set knows it, else an empty list. `safetensors.numpy.load_file` reads it. A
comparison or a drawing of a finished run reads these files instead of the test split.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from ferjax import filesystem, stored_json
from ferjax.errors import UserError
from ferjax.filesystem import Place

FOLDER = "predictions"
FORMAT = 1
# Probabilities are float32 means; so far their sum may be from 1.
_ROUNDING = 1e-3
_VIEW, _GROUP = "probabilities.", "group."
_TYPES = {"I32": np.int32, "F32": np.float32, "BOOL": np.bool_}


class _About(TypedDict):
    """The text of the file."""

    format: int
    split: str
    labels: stored_json.Labels
    fingerprint: str
    images: str
    subjects: list[str]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions for N examples of a split.

    Attributes:
      split: its name.
      labels: names of the K classes.
      fingerprint: of the data set.
      images: a digest of the pixels of the examples in their order (see `digest`).
      subjects: who is shown in each example; () if it is not known.
      index: position of each example in the split.
      label: true class of each example.
      probabilities: by the name of the view.
      groups: masks of the examples by the name of the group; the split itself has all.
    """

    split: str
    labels: tuple[str, ...]
    fingerprint: str
    images: str
    subjects: tuple[str, ...]
    index: Int[np.ndarray, " N"]
    label: Int[np.ndarray, " N"]
    probabilities: Mapping[str, Float[np.ndarray, "N K"]]
    groups: Mapping[str, Bool[np.ndarray, " N"]]

    def persons(self) -> Int[np.ndarray, " N"] | None:
        """A number for each person who is shown; None if they are not known."""
        return numbered(self.subjects) if self.subjects else None

    def to_bytes(self) -> bytes:
        """The content of the file."""
        arrays = {
            "index": self.index.astype(np.int32),
            "label": self.label.astype(np.int32),
            **{_VIEW + name: rows.astype(np.float32) for name, rows in self.probabilities.items()},
            **{_GROUP + name: mask.astype(np.bool_) for name, mask in self.groups.items()},
        }
        about = _About(
            format=FORMAT,
            split=self.split,
            labels=list(self.labels),
            fingerprint=self.fingerprint,
            images=self.images,
            subjects=list(self.subjects),
        )
        # One text: safetensors writes several in any order, and equal predictions are equal files.
        text = {"about": json.dumps(about)}
        return save({name: np.ascontiguousarray(one) for name, one in arrays.items()}, text)


def numbered(subjects: Sequence[str]) -> Int[np.ndarray, " N"]:
    """A number for each person; an example whose person has no name is a person of its own."""
    names = [name or f"\0{at}" for at, name in enumerate(subjects)]
    return np.unique(names, return_inverse=True)[1]


def digest(pixel_hashes: Iterable[bytes]) -> str:
    """The SHA-256 of the pixel hashes of examples in their order."""
    return hashlib.sha256(b"".join(pixel_hashes)).hexdigest()


def write(workdir: Place, name: str, predictions: Predictions) -> dict[str, str]:
    """Writes `predictions/NAME.safetensors`; returns its place in the folder and its SHA-256.

    Raises:
      UserError: it cannot be written.
    """
    data = predictions.to_bytes()
    file = workdir / FOLDER / f"{name}.safetensors"
    try:
        filesystem.make_folder(workdir / FOLDER)
        filesystem.write(file, data)
    except OSError as error:
        raise UserError(
            f"{file} cannot be written ({filesystem.problem(file, error)}): make room there, or "
            "let it be written, and run the same command again."
        ) from None
    return {"file": f"{FOLDER}/{name}.safetensors", "sha256": hashlib.sha256(data).hexdigest()}


def read(workdir: Place, name: str, sha256: str) -> Predictions:
    """Reads `predictions/NAME.safetensors`.

    Args:
      workdir: the run directory.
      name: of the file, without its ending.
      sha256: of the file, from result.json.

    Raises:
      UserError: the file is missing, damaged, or not the one that result.json names.
    """
    file = workdir / FOLDER / f"{name}.safetensors"
    try:
        data = filesystem.read_bytes(file)
    except FileNotFoundError:
        raise _unfit(file, "is missing") from None
    except OSError as error:
        raise _unfit(file, f"cannot be read ({filesystem.problem(file, error)})") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise _unfit(file, "is not the file whose SHA-256 result.json has")
    try:
        return from_bytes(data)
    except ValueError as error:
        raise _unfit(file, str(error)) from None


def from_bytes(data: bytes) -> Predictions:
    """The predictions in the content of a file.

    Raises:
      ValueError: it holds none; the text follows the name of the file.
    """
    about, arrays = _parsed(data)
    labels, split, subjects = tuple(about["labels"]), about["split"], tuple(about["subjects"])
    try:
        index, label = arrays.pop("index"), arrays.pop("label")
    except KeyError as error:
        raise ValueError(f"lacks {error}, which predictions have") from None
    if about["format"] != FORMAT:
        raise ValueError(f"has format {about['format']}, expected {FORMAT}")
    probabilities, groups = _named(arrays, _VIEW), _named(arrays, _GROUP)
    if not probabilities or split not in groups:
        raise ValueError(f"lacks the probabilities of a view, or the group {split}")
    _check_columns(index, label, len(labels))
    if subjects and len(subjects) != len(label):
        raise ValueError(f"has {len(subjects)} subjects for {len(label)} examples")
    for view, rows in probabilities.items():
        _check_probabilities(view, rows, (len(label), len(labels)))
    for group, mask in groups.items():
        if mask.shape != label.shape or mask.dtype != np.bool_:
            raise ValueError(f"has no bool [{len(label)}] in {_GROUP}{group}")
    return Predictions(
        split=split,
        labels=labels,
        fingerprint=about["fingerprint"],
        images=about["images"],
        subjects=subjects,
        index=index,
        label=label,
        probabilities=probabilities,
        groups=groups,
    )


def _parsed(data: bytes) -> tuple[_About, dict[str, np.ndarray]]:
    """The text and the arrays of the file; `deserialize` checks sizes against the content."""
    try:
        found = deserialize(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ValueError(f"is damaged ({error})") from None
    arrays = {}
    for name, one in found:
        if one["dtype"] not in _TYPES:
            raise ValueError(f"has the type {one['dtype']} in {name}, expected {', '.join(_TYPES)}")
        flat: np.ndarray = np.frombuffer(one["data"], _TYPES[one["dtype"]])
        arrays[name] = flat.reshape(one["shape"])
    text = (header.get("__metadata__") or {}).get("about", "{}")
    try:
        return stored_json.check(stored_json.parse(text.encode()), _About), arrays
    except stored_json.Unfit as error:
        raise ValueError(f"has a text that is not of predictions: it {error}") from None


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): rows for name, rows in arrays.items() if name.startswith(prefix)
    }


def _check_columns(index: np.ndarray, label: np.ndarray, num_classes: int) -> None:
    whole = index.ndim == 1 and index.shape == label.shape and index.size
    typed = index.dtype == label.dtype == np.int32
    if not whole or not typed or not np.array_equal(index, np.unique(index)):
        raise ValueError("has no index in rising order with one label each")
    if label.min() < 0 or label.max() >= num_classes:
        raise ValueError(f"has labels outside of 0..{num_classes - 1}")


def _check_probabilities(view: str, rows: np.ndarray, shape: tuple[int, int]) -> None:
    if rows.shape != shape or rows.dtype != np.float32:
        raise ValueError(f"has no float32 {list(shape)} in {_VIEW}{view}")
    if not np.all(rows >= 0) or not np.all(np.abs(rows.sum(axis=1) - 1) < _ROUNDING):
        raise ValueError(f"has rows in {_VIEW}{view} that are no probabilities")


def _unfit(file: Place, what: str) -> UserError:
    return UserError(
        f"{file} {what}. Restore it from a copy; or remove result.json: then the command of the "
        "run reads the test split again and makes both."
    )
