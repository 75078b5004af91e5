"""The --json of a command: a file, or `-` for standard output in the place of the tables."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ferjax import filesystem
from ferjax.cli import output

_STANDARD_OUTPUT = ("-", "/dev/stdout")


def is_standard_output(path: str | None) -> bool:
    """Whether the flag names standard output."""
    return path in _STANDARD_OUTPUT


def check(path: str | None, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuses, before any work, a file that cannot be meant; see `filesystem.check_output`."""
    if path is not None and not is_standard_output(path):
        filesystem.check_output("--json", path, inputs)


def write(path: str | None, fields: Mapping[str, Any]) -> bool:
    """Writes what the flag asks for, and tells whether standard output has it.

    Raises:
      UserError: it cannot be written.
    """
    if is_standard_output(path):
        output.say(json.dumps(fields, indent=2, allow_nan=False))
        return True
    if path is not None:
        filesystem.write_json(filesystem.of(path), fields)
    return False
