"""The command that trains a run again: the config of its paper, and every field that differs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ferjax.analysis.report.facts import RunFacts
from ferjax.cli import config_flags
from ferjax.config import papers
from ferjax.errors import UserError
from ferjax.workdir.directory import LOCATION_FIELDS


def command(one: RunFacts) -> str:
    """The command, to be started in the repository; or where the fields are, without the config."""
    path = next(iter(papers.papers()[one.config.paper].tables)).config
    given = f"dataset={one.config.dataset.name}"
    try:
        get_config = config_flags.load(path, "the config of the paper")
        base = config_flags.made(get_config, path, "the config", given)
    except UserError:
        return f"# {one.where}/config.json has every field of the run."
    flags = [
        f"--config.{name}={shlex.quote(_text(value))}"
        for name, value in _different(base.to_dict(), one.config.to_dict())
    ]
    start = f"python -m ferjax.main --config={path}:{given} --workdir=NEW_FOLDER"
    return " \\\n    ".join([start, *flags])


def fields(one: RunFacts) -> str:
    """All fields of the run's config as JSON, without those that say where its files were."""
    return json.dumps(_elsewhere(one.config.to_dict()), indent=2)


def _elsewhere(own: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return {
        name: _elsewhere(value, f"{prefix}{name}.") if isinstance(value, Mapping) else value
        for name, value in own.items()
        if not f"{prefix}{name}".endswith(LOCATION_FIELDS)
    }


def _different(
    base: Mapping[str, Any], own: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    for name, value in own.items():
        path = f"{prefix}{name}"
        if path.endswith(LOCATION_FIELDS) or path == "departures":
            continue
        if isinstance(value, Mapping):
            yield from _different(base.get(name, {}), value, f"{path}.")
        elif base.get(name) != value:
            yield path, value


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, tuple) else str(value)
