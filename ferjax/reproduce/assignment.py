"""Fields of a config that a study or `--set` assigns: dotted path -> value."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax.cli.pairs import parse_pairs
from ferjax.errors import UserError, nearest


def parse(assignments: Sequence[str]) -> dict[str, Any]:
    """The fields of `--set=FIELD=VALUE`.

    Raises:
      UserError: one is no FIELD=VALUE, or is given twice.
    """
    found = {}
    for path, text in parse_pairs("--set", assignments).items():
        if text is None:
            raise UserError(f"--set is {path!r}; expected FIELD=VALUE.")
        found[path] = _value(text)
    return found


def apply(config: ConfigDict, fields: Mapping[str, Any]) -> None:
    """Sets fields that exist to values of their types.

    Raises:
      UserError: there is no such field, or the value has another type.
    """
    for path, value in fields.items():
        _set(config, path, value)


def _value(text: str) -> Any:
    """The text as a value of TOML, or as a string if it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def _set(config: ConfigDict, path: str, value: Any) -> None:
    """Sets a field that exists to a value of its type.

    Raises:
      UserError: there is no such field, or the value has another type.
    """
    if path == "seed":
        raise UserError("A row's seed is not set as a field; name them all in seeds.")
    *groups, leaf = path.split(".")
    group = config
    for name in groups:
        group = group[name] if isinstance(group, ConfigDict) and name in group else ConfigDict()
    if not isinstance(group, ConfigDict) or leaf not in group:
        known = sorted(config.to_dict()) if not groups else sorted(group)
        raise UserError(f"There is no config field {path!r}." + nearest(leaf, known))
    if isinstance(group[leaf], ConfigDict):
        raise UserError(f"{path} is a group of fields; name one of {', '.join(group[leaf])}.")
    if isinstance(value, list):
        value = tuple(value)
    try:
        group[leaf] = value
    except TypeError:
        raise UserError(
            f"{path} is {value!r}; expected a {type(group[leaf]).__name__}, such as "
            f"{group[leaf]!r}."
        ) from None
