"""Whether a folder is described as ferjax describes what it prepares, before TFDS reads it.

TFDS makes what features.json names, and so imports whatever module stands there; it fills in names
of files out of dataset_info.json. A folder may come from a stranger, so both files are read here
first, as plain JSON, and have to say what ferjax's own builders write, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, NotRequired, TypedDict

from etils import epath
from google.protobuf import json_format

from ferjax import filesystem, local_files, refusals, stored_json
from ferjax.data.storage.features import example_features
from ferjax.errors import UserError

MAX_BYTES = 1 << 20  # the largest that ferjax writes has two thousand
MAX_CLASSES, MAX_VOTES, MAX_SIDE = 10_000, 1000, 1 << 16

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_SPLITS = ("train", "validation", "test", "whole")
_OPTIONAL = ("configName", "configDescription", "description", "location", "supervisedKeys")
_NEEDED = ("fileFormat", "moduleName", "name", "splits", "version")
# What a model is given and asked for, which TFDS stores.
_SUPERVISED = {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}}
_Location = Annotated[
    dict[str, list[str]], stored_json.Rule(lambda found: set(found) == {"urls"}, "urls alone")
]


class _About(TypedDict):
    """Of the optional keys, those that describe."""

    description: NotRequired[str]
    configDescription: NotRequired[str]
    location: NotRequired[_Location]


_SPLIT_KEYS = {"filepathTemplate", "name", "numBytes", "shardLengths"}


def check(directory: epath.Path, version: str) -> None:
    """Refuses a folder that holds a description of another kind, or anything but regular files.

    Args:
      directory: local; holds dataset_info.json and features.json.
      version: what the data set's version has to be.

    Raises:
      UserError: as said; the message names the file and what was found.
    """
    try:
        local_files.check_tree(directory)
    except OSError as error:
        where = error.filename or directory
        advice = refusals.advice(error, _advice(directory))
        raise UserError(f"{where} cannot be read ({refusals.problem(error)}); {advice}.") from None
    _check_features(directory, _fields(directory, "features.json"))
    _check_info(directory, _fields(directory, "dataset_info.json"), version)


def _fields(directory: epath.Path, name: str) -> dict[str, Any]:
    file = directory / name
    try:
        return filesystem.load_json(file, stored_json.Object, most_bytes=MAX_BYTES)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({refusals.problem(error)}).") from None
    except stored_json.Unfit as error:
        raise _refused(directory, name, f"it {error}") from None


def _check_features(directory: epath.Path, fields: Mapping[str, Any]) -> None:
    """Compares the file with what `example_features` gives for the same shape and classes."""
    name = "features.json"
    try:
        features = fields["featuresDict"]["features"]
        image, votes = features["image"], features.get("votes")
        as_files = "tensor" not in image
        dimensions = image["image" if as_files else "tensor"]["shape"]["dimensions"]
        height, width, channels = (_number(each, MAX_SIDE) for each in dimensions)
        num_classes = _number(features["label"]["classLabel"]["numClasses"], MAX_CLASSES)
        num_votes = 0
        if votes is not None:
            (entries,) = votes["tensor"]["shape"]["dimensions"]
            num_votes = _number(entries, MAX_VOTES)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refused(directory, name, f"its fields are others: {error}") from None
    ours = example_features(
        image_shape=(height, width, channels),
        names=tuple(map(str, range(num_classes))),
        as_files=as_files,
        num_votes=num_votes,
    )
    difference = _difference(fields, json_format.MessageToDict(ours.to_proto()), "")
    if difference:
        raise _refused(directory, name, difference)


def _check_info(directory: epath.Path, fields: Mapping[str, Any], version: str) -> None:
    name = "dataset_info.json"
    others = set(fields) - {*_OPTIONAL, *_NEEDED} or set(_NEEDED) - set(fields)
    if others:
        raise _refused(directory, name, f"{_short(min(others))} is missing, or is not one of ours")
    wanted = {
        "fileFormat": r"array_record",
        "moduleName": r"ferjax\.data\.[a-z0-9_.]+",
        "name": r"[a-z][a-z0-9_]*",
        "version": re.escape(version),
        "configName": r"[A-Za-z0-9_]+",
    }
    for key, pattern in wanted.items():
        found = fields.get(key)
        if key in fields and not (isinstance(found, str) and re.fullmatch(pattern, found)):
            raise _refused(directory, name, f"{key} is {_short(found)}")
    try:
        stored_json.check(fields, _About)
    except stored_json.Unfit as error:
        raise _refused(directory, name, f"it {error}") from None
    keys = fields.get("supervisedKeys", _SUPERVISED)
    difference = _difference(keys, _SUPERVISED, "supervisedKeys")
    if difference:
        raise _refused(directory, name, difference)
    splits = fields["splits"]
    if not isinstance(splits, list) or not splits:
        raise _refused(directory, name, f"splits is {_short(splits)}")
    for split in splits:
        problem = _split_problem(split)
        if problem:
            raise _refused(directory, name, problem)
    names = [split["name"] for split in splits]
    if len(set(names)) != len(names):
        raise _refused(directory, name, f"its splits are {_short(names)}")


def _split_problem(split: Any) -> str:
    """What a split has that ferjax does not write, in words, or ""."""
    if not isinstance(split, dict) or set(split) != _SPLIT_KEYS:
        return f"a split is {_short(split)}"
    if split["name"] not in _SPLITS:
        return f"a split is named {_short(split['name'])}, expected one of {', '.join(_SPLITS)}"
    if split["filepathTemplate"] != _TEMPLATE:
        return f"filepathTemplate of {split['name']} is {_short(split['filepathTemplate'])}"
    lengths = split["shardLengths"]
    try:
        good = isinstance(lengths, list) and all(_number(one, 2**40) for one in lengths)
        _number(split["numBytes"], 2**60)
    except (TypeError, ValueError):
        good = False
    if not good or not lengths or len(lengths) > MAX_CLASSES:
        found = {key: split[key] for key in ("shardLengths", "numBytes")}
        return f"the split {split['name']} has {_short(found)}"
    return ""


def _number(text: Any, most: int) -> int:
    """A positive integer, which the JSON of TFDS holds as a string."""
    if not isinstance(text, str) or not re.fullmatch(r"[1-9][0-9]{0,18}", text):
        raise ValueError(f"{_short(text)} is no positive number")
    if int(text) > most:
        raise ValueError(f"{text} is more than {most}")
    return int(text)


def _difference(found: Any, wanted: Any, path: str) -> str:
    """Where two values of JSON first differ, in words, or ""."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            at = f"{path}.{key}".lstrip(".")
            if key not in found:
                return f"{at} is missing"
            if key not in wanted:
                return f"{at} is not one of ours"
            inside = _difference(found[key], wanted[key], at)
            if inside:
                return inside
        return ""
    if found != wanted or type(found) is not type(wanted):
        return f"{path} is {_short(found)}, expected {_short(wanted)}"
    return ""


def _refused(directory: epath.Path, name: str, found: str) -> UserError:
    return UserError(
        f"{directory / name} is not what ferjax writes ({found}), and is not used; "
        f"{_advice(directory)}."
    )


def _advice(directory: epath.Path) -> str:
    return f"delete {directory} and prepare the data set again, from its source"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
