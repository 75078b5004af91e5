"""A study: a list of rows of one config, trained one after the other into folders of their own.

A study is a TOML file:

    title = "What is compared"
    config = "configs/cbam_island.py"      # from the folder where the command is started
    arguments = "stem=imagenet"            # of every row
    seeds = [0]                            # of every row that names none
    fields = {"train.num_epochs" = 8}      # of every row
    reference = "center"                   # the row that class means are compared with, if any

    [[rows]]
    name = "softmax"
    arguments = "loss=softmax"             # after the study's
    seeds = [0, 1, 2]
    fields = {}
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax import filesystem, local_files, refusals
from ferjax.cli import config_flags, output
from ferjax.config import checks
from ferjax.data.splits.splitters import ALL_FOLDS
from ferjax.errors import UserError, nearest, one_of
from ferjax.filesystem import Place
from ferjax.reproduce import assignment
from ferjax.training.loop import train as train_run

TABLE = "table.json"  # beside the folders of the rows
_KEYS = {"title", "config", "arguments", "seeds", "fields", "reference", "rows"}
_ROW_KEYS = {"name", "arguments", "seeds", "fields"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a study.

    Attributes:
      name: its name in the table, and of its folder.
      arguments: the config's arguments, joined by commas.
      seeds: one run each.
      fields: dotted path -> value, set after the arguments.
    """

    name: str
    arguments: str
    seeds: tuple[int, ...]
    fields: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Study:
    """The content of a study file; what it sets for every row is in each row.

    Attributes:
      title: printed above the table.
      config: path of the config file.
      reference: the name of the row that class means are compared with, or "".
      rows: in the order of the table.
    """

    title: str
    config: str
    reference: str
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of a row.

    Attributes:
      row: the name of the row.
      folder: its run directory.
      argument: the config with its arguments, for people.
      config: what it trains.
    """

    row: str
    folder: Place
    argument: str
    config: ConfigDict


def read(path: str) -> Study:
    """Reads a study file.

    Raises:
      UserError: it cannot be read, or a key is missing, unknown or of the wrong type.
    """
    try:
        fields = tomllib.loads(local_files.read(path).decode())
    except OSError as error:
        raise UserError(f"--study: {path} cannot be read ({refusals.problem(error)}).") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"--study: {path} is not TOML ({error}).") from None
    _check(path, "the study", fields, _KEYS, {"title": str, "config": str, "rows": list})
    _check_types(path, "the study", fields)
    if not fields["rows"]:
        raise UserError(f"{path}: rows is empty; a study has at least one [[rows]].")
    rows = []
    for number, row in enumerate(fields["rows"], start=1):
        if not isinstance(row, dict):
            raise UserError(f"{path}: row {number} is {row!r}; expected a table, [[rows]].")
        _check(path, f"row {number}", row, _ROW_KEYS, {"name": str})
        _check_types(path, f"row {number}", row)
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", row["name"]) or row["name"] == TABLE:
            raise UserError(
                f"{path}: the name of row {number} is {row['name']!r}; it names a folder: letters, "
                "digits, '_', '-' and '.'."
            )
        arguments = [fields.get("arguments", ""), row.get("arguments", "")]
        if re.search(r"(^|,)seed=", ",".join(arguments)):
            raise UserError(f"{path}: the arguments of row {number} name a seed; name it in seeds.")
        rows.append(
            Row(
                name=row["name"],
                arguments=",".join(filter(None, arguments)),
                seeds=tuple(row.get("seeds", fields.get("seeds", [0]))),
                fields={**fields.get("fields", {}), **row.get("fields", {})},
            )
        )
    names = [row.name for row in rows]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{path}: two rows are called {name!r}; each has a folder of its own.")
    reference = fields.get("reference", "")
    if reference:
        one_of(f"{path}: reference", reference, names)
    return Study(fields["title"], fields["config"], reference, tuple(rows))


def runs(
    study: Study,
    workdir: str,
    *,
    rows: Sequence[str] | None = None,
    assignments: Sequence[str] = (),
) -> list[Run]:
    """The runs of a study: first every row's first seed, then every row's second, and so on.

    Args:
      study: a study from `read`.
      workdir: the folder of all of them.
      rows: names of the rows that are wanted; all if None.
      assignments: FIELD=VALUE, set last.

    Raises:
      UserError: an unknown row, argument or field, or a value of the wrong type.
    """
    names = [row.name for row in study.rows]
    for name in rows or ():
        if name not in names:
            raise UserError(
                f"--rows: the study has no row {name!r}; expected some of {', '.join(names)}."
                + nearest(name, names)
            )
    assigned = assignment.parse(assignments)
    folder = filesystem.of(workdir)
    get_config = config_flags.load(study.config, "the study's config")
    wanted = [row for row in study.rows if rows is None or row.name in rows]
    made = []
    for number in range(max(len(row.seeds) for row in wanted)):
        for row in wanted:
            if number >= len(row.seeds):
                continue
            seed = row.seeds[number]
            what = f"row {row.name!r}"
            config = config_flags.made(get_config, study.config, what, row.arguments)
            assignment.apply(config, {**row.fields, **assigned})
            if "seed" not in config:
                raise UserError(f"{study.config}: {what} is no config of a run: it has no seed.")
            config.seed = seed
            _check_config(row, config)
            where = folder / row.name / f"seed_{seed}"
            argument = f"{study.config}:{row.arguments},seed={seed}"
            made.append(Run(row.name, where, argument, config))
    return made


def _check_config(row: Row, config: ConfigDict) -> None:
    try:
        checks.check(config)
    except UserError as error:
        raise UserError(f"Row {row.name!r}: {error}") from None
    if config.dataset.options.get("fold") == ALL_FOLDS:
        raise UserError(
            f"Row {row.name!r} would run all folds of {config.dataset.name}; name one in its "
            "arguments, such as fold=0."
        )


def train(planned: Sequence[Run]) -> None:
    """Trains what is not finished; see `loop.train`."""
    for run in planned:
        with output.optional():
            output.say(f"== {run.folder}: {run.argument}")
        train_run(run.config, str(run.folder))


def _check(
    path: str, what: str, fields: Mapping[str, Any], known: set[str], required: Mapping[str, type]
) -> None:
    for key in fields:
        if key not in known:
            raise UserError(
                f"{path}: {what} has the unknown key {key!r}; the keys are "
                f"{', '.join(sorted(known))}." + nearest(key, known)
            )
    for key, kind in required.items():
        if not isinstance(fields.get(key), kind) or not fields[key]:
            raise UserError(
                f"{path}: {key} of {what} is {fields.get(key)!r}; expected a {kind.__name__}."
            )


def _check_types(path: str, what: str, fields: Mapping[str, Any]) -> None:
    for key, kind in (("arguments", str), ("fields", dict), ("reference", str)):
        if key in fields and not isinstance(fields[key], kind):
            raise UserError(
                f"{path}: {key} of {what} is {fields[key]!r}; expected a {kind.__name__}."
            )
    seeds = fields.get("seeds", [0])
    good = isinstance(seeds, list) and seeds and len(set(map(str, seeds))) == len(seeds)
    if not good or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise UserError(
            f"{path}: seeds of {what} is {seeds!r}; expected different whole numbers, such as "
            "[0, 1, 2]."
        )
