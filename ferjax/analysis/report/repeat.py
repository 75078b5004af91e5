"""The command that trains a run again: the config of its paper, and every field that differs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.cli import config_flags
from ferjax.config import papers
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.workdir.directory import LOCATION_FIELDS


def command(config: ConfigDict, where: Place) -> str:
    """The command, to be started in the repository; or where the fields are, if there is none."""
    given = [f"dataset={config.dataset.name}"]
    if "name" in config.dataset.options:
        given.append(f"name={config.dataset.options.name}")
    if "trunks" in config.model:
        given.append(f"fusion={config.model.name.removesuffix('_fusion')}")
        given.append(f"trunks={'+'.join(config.model.trunks)}")
    argument = ",".join(given)
    try:
        path = next(iter(papers.papers()[config.paper].tables)).config
        base = config_flags.made(
            config_flags.load(path, "the config of the paper"), path, "the config", argument
        )
        changes = list(_different(base.to_dict(), config.to_dict()))
    except (UserError, KeyError):  # another config, or one that no argument leads to
        return f"# {where}/config.json has every field of the run."
    flags = [f"--config.{name}={shlex.quote(_text(value))}" for name, value in changes]
    start = f"python -m ferjax.main --config={path}:{argument} --workdir=NEW_FOLDER"
    return " \\\n    ".join([start, *flags])


def fields(config: ConfigDict) -> str:
    """All fields of the run's config as JSON, without those that say where its files were."""
    return json.dumps(_elsewhere(config.to_dict()), indent=2)


def _elsewhere(own: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return {
        name: _elsewhere(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for name, value in own.items()
        if not f"{prefix}{name}".endswith(LOCATION_FIELDS)
    }


def _different(
    base: Mapping[str, Any], own: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """The fields that differ.

    Raises:
      KeyError: one of the two has a field that the other lacks.
    """
    for name in {**base, **own}:
        path = f"{prefix}{name}"
        if path.endswith(LOCATION_FIELDS) or path == "departures":
            continue
        before, value = base[name], own[name]
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            yield from _different(before, value, f"{path}.")
        elif before != value:
            yield path, value


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, tuple) else str(value)
