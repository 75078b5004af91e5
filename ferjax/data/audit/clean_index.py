"""clean_test.json: which test images count as clean, in a file that outlives the audit.

Format 1:

    format          1
    dataset         the name of the data set
    fingerprint     64 hex digits of the content of all stored splits
    options         the options of the data set's scheme in the audit, by name
    split           "test"
    num_examples    how many examples that split has
    groups          {group: positions}, ascending, in the order of Source.load("test");
                    test_clean: pixels that are in neither train nor validation, first of identical
                    ones; test_clean_near: also without images that have a near duplicate in
                    train or validation or earlier in test
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Bool, Integer

from ferjax import filesystem, refusals, stored_json
from ferjax.data.dataset import Source
from ferjax.errors import UserError
from ferjax.filesystem import write_json
from ferjax.stored_json import Count, Object

FORMAT = 1
GROUPS = ("test_clean", "test_clean_near")
_MOST_BYTES = 256 << 20  # of some ten million positions
_AGAIN = "run ferjax.data.audit again on the data at hand"


class Groups(TypedDict):
    """Ascending positions in the test split."""

    test_clean: list[Count]
    test_clean_near: list[Count]


class Stored(TypedDict):
    """The file as JSON."""

    format: int
    dataset: str
    fingerprint: str
    options: Object
    split: str
    num_examples: Count
    groups: Groups


def write_clean_index(
    path: Path, source: Source, groups: Mapping[str, Integer[np.ndarray, " _"]]
) -> None:
    """Writes the file, whole or not at all.

    Args:
      path: the file.
      source: the data set that was audited.
      groups: positions in its test split for each of `GROUPS`.
    """
    fields = {
        "format": FORMAT,
        "dataset": source.name,
        "fingerprint": source.fingerprint,
        "options": source.options,
        "split": "test",
        "num_examples": source.num_examples["test"],
        "groups": {name: groups[name].tolist() for name in GROUPS},
    }
    write_json(path, fields)


def read_clean_index(
    path: str | os.PathLike[str], source: Source
) -> dict[str, Bool[np.ndarray, " N"]]:
    """Reads the file that an audit of this very data set wrote.

    Args:
      path: the file.
      source: the data set that is to be evaluated.

    Returns:
      For each of `GROUPS`, True where an example of `Source.load("test")` belongs to it.

    Raises:
      UserError: there is no such file, it is damaged or of another format, or it was written for
        another data set, for other content, or for other splits.
    """
    fields = _fields(path)
    _check_source(path, fields, source)
    count = fields["num_examples"]
    return {name: _mask(path, name, fields["groups"].get(name), count) for name in GROUPS}


def _fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    place = filesystem.of(path)
    try:
        fields = filesystem.read_json(place, stored_json.Object, fix=_AGAIN, most_bytes=_MOST_BYTES)
    except FileNotFoundError as error:
        raise UserError(
            f"cannot read {path} ({refusals.problem(error)}); expected the clean_test.json that "
            "ferjax.data.audit writes."
        ) from None
    if fields.get("format") != FORMAT:
        raise UserError(
            f"{path} has format {fields.get('format')!r}, expected {FORMAT}: it is not a "
            f"clean_test.json of this version of ferjax; {_AGAIN}."
        )
    try:
        return stored_json.check(fields, Stored)
    except stored_json.Unfit as error:
        raise UserError(f"{path} {error}: {_AGAIN}.") from None


def _check_source(path: str | os.PathLike[str], fields: Mapping[str, Any], source: Source) -> None:
    # Through JSON, where a tuple is a list.
    options = json.loads(json.dumps(source.options))
    expected = {
        "dataset": source.name,
        "fingerprint": source.fingerprint,
        "options": options,
        "split": "test",
        "num_examples": source.num_examples["test"],
    }
    for field, wanted in expected.items():
        if fields[field] != wanted or type(fields[field]) is not type(wanted):
            raise UserError(
                f"{path} was written for {field} {fields[field]!r}, and the data set at hand has "
                f"{wanted!r}: {_AGAIN}."
            )


def _mask(
    path: str | os.PathLike[str], name: str, positions: Any, count: int
) -> Bool[np.ndarray, " N"]:
    if not isinstance(positions, list):
        raise UserError(f"{path} has no group {name!r}: {_AGAIN}.")
    mask = np.zeros(count, bool)
    last = -1
    for position in positions:
        if type(position) is not int or not last < position < count:
            raise UserError(
                f"{path}, group {name}: expected ascending positions from {last + 1} to "
                f"{count - 1}, found {position!r}: {_AGAIN}."
            )
        mask[position], last = True, position
    return mask
