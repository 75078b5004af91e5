"""The runs that a table of a paper needs: one for each row, data set, seed and fold.

A run is in WORKDIR/PAPER/DATASET/ROW/seed_N, or in fold_M below that. Tables share the runs of rows
of the same name, and the fusions of tran2023 share the runs of their trunks.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ml_collections import ConfigDict

from ferjax import filesystem
from ferjax.cli import config_flags
from ferjax.cli.pairs import parse_pairs
from ferjax.config import checks, papers, starts
from ferjax.config.papers import Row, Table
from ferjax.data import catalog
from ferjax.data.splits.splitters import ALL_FOLDS
from ferjax.data.splits.stratify import NUM_FOLDS
from ferjax.errors import UserError, one_of
from ferjax.filesystem import Place
from ferjax.models import published
from ferjax.reproduce import assignment
from ferjax.reproduce.study import Run

# In the place of the folders of trunks, whose names may have what separates arguments.
_TRUNKS = "trunk+trunk"

Role = Literal["row", "needed", "compared"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the rows of a table are trained, where that is not the paper's.

    Attributes:
      workdir: the folder of all runs.
      datasets: names of data sets instead of the paper's; () for the paper's.
      num_seeds: seeds 0, 1, ... of each row.
      arguments: of the config of every row, joined by commas, such as "budget=cpu".
      assignments: FIELD=VALUE of every row's config.
      weights: a folder with torchvision's files of ImageNet weights; "" for none.
      rows: names of the rows that are trained, with what they need; () for all.
      view: the test-time view that is reported.
    """

    workdir: str
    datasets: tuple[str, ...] = ()
    num_seeds: int = 3
    arguments: str = ""
    assignments: tuple[str, ...] = ()
    weights: str = ""
    rows: tuple[str, ...] = ()
    view: str = "single"


@dataclasses.dataclass(frozen=True)
class PlannedRow:
    """The runs of a row on a data set.

    Attributes:
      row: the row.
      dataset: the data set.
      folder: the folder of its seeds.
      runs: in the order of seeds and folds.
      lacks: why it cannot be trained; "" if it can.
      role: "row" of the table that is to be trained; "needed" by one, as a trunk or a reference; or
        "compared" with one, if it was trained before.
    """

    row: Row
    dataset: str
    folder: Place
    runs: tuple[Run, ...]
    lacks: str
    role: Role

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its runs."""
        return tuple(dict.fromkeys(run.config.seed for run in self.runs))

    def of_seed(self, seed: int) -> list[Run]:
        """The runs of a seed: one, or one for each fold."""
        return [run for run in self.runs if run.config.seed == seed]


def plan(table: Table, settings: Settings) -> list[PlannedRow]:
    """The rows of a table in the order in which they are trained: trunks first.

    Raises:
      UserError: an unknown data set, argument or field, or a value that is not allowed.
    """
    _check_arguments(settings)
    get_config = config_flags.load(table.config, f"the config of {table.key}")
    make = _Maker(table, settings, get_config)
    roles = _roles(table, settings.rows)
    known = {**papers.rows(table.paper), **{row.name: row for row in table.rows}}
    ordered = sorted(roles, key=lambda name: bool(known[name].trunks))
    return _with_trunks(
        [
            make.row(known[name], dataset, roles[name])
            for dataset in settings.datasets or table.datasets
            for name in ordered
        ]
    )


def _roles(table: Table, asked: Sequence[str]) -> dict[str, Role]:
    """The names of the rows that a table has to do with, if these are to be trained."""
    own = {row.name: row for row in table.rows if not row.is_context}
    for name in asked:
        one_of("--rows", name, own)
    trained = [own[name] for name in own if name in asked or not asked]
    needed = [name for row in trained for name in row.trunks]
    needed += [table.reference] if table.reference else []
    compared = [*own, *(name for pair in table.orderings for name in pair)]
    roles: dict[str, Role] = dict.fromkeys(compared, "compared")
    return roles | dict.fromkeys(needed, "needed") | {row.name: "row" for row in trained}


def _folder(table: Table, settings: Settings, dataset: str, row: str) -> Place:
    return filesystem.of(settings.workdir) / table.paper / dataset / row


class _Maker:
    """Makes the runs of rows."""

    def __init__(self, table: Table, settings: Settings, get_config: Callable[..., Any]):
        self._table = table
        self._settings = settings
        self._get_config = get_config
        self._assigned = assignment.parse(settings.assignments)

    def row(self, row: Row, dataset: str, role: Role) -> PlannedRow:
        """The runs of a row on a data set."""
        where = _folder(self._table, self._settings, dataset, row.name)
        config, given, lacks = self._config(row, dataset)
        try:
            assignment.apply(config, self._assigned)
            checks.check(config)
            one_of("--view", self._settings.view, config.evaluation.test_views)
        except UserError as error:
            raise UserError(f"Row {row.name!r} of {self._table.key}: {error}") from None
        runs: list[Run] = []
        for seed in range(self._settings.num_seeds):
            for fold, one in _folds(config):
                name = f"seed_{seed}" if fold is None else f"seed_{seed}/fold_{fold}"
                one.seed = seed
                if row.trunks:
                    trunks = [
                        _folder(self._table, self._settings, dataset, at) for at in row.trunks
                    ]
                    one.trunks_from = tuple(str(trunk / name) for trunk in trunks)
                runs.append(Run(row.name, where / name, f"{given},seed={seed}", one))
        return PlannedRow(row, dataset, where, tuple(runs), lacks, role)

    def _config(self, row: Row, dataset: str) -> tuple[ConfigDict, str, str]:
        """The config, its arguments for people, and what it lacks to be trained."""
        given = ",".join(
            filter(None, (f"dataset={dataset}", row.arguments, self._settings.arguments))
        )
        shown = f"{self._table.config}:{given}"
        if row.trunks:
            config = self._made(row, f"{given},trunks_from={_TRUNKS}")
            return config, f"{shown},trunks_from={'+'.join(row.trunks)}", ""
        config = self._made(row, given)
        if not config.paper_start or config.init_from:
            return config, shown, ""
        published_file = published.FILES[row.imagenet]
        file = _weights(self._settings.weights, published_file)
        if file is None:
            return (
                config,
                shown,
                (
                    f"it starts from ImageNet weights, {published_file}: name their folder with "
                    "--weights=FOLDER, or train from scratch with --arguments=from_scratch"
                ),
            )
        config = self._made(row, f"{given},init_from=weights{file.suffix}")
        config.init_from = str(file)
        return config, f"{shown},init_from={file.name}", ""

    def _made(self, row: Row, arguments: str) -> ConfigDict:
        what = f"row {row.name!r} of {self._table.key}"
        return config_flags.made(self._get_config, self._table.config, what, arguments)


def _folds(config: ConfigDict) -> list[tuple[int | None, ConfigDict]]:
    """The config of each fold where it names all of them, else itself without a number."""
    if config.dataset.options.get("fold") != ALL_FOLDS:
        return [(None, copy.deepcopy(config))]
    made: list[tuple[int | None, ConfigDict]] = []
    for fold in range(NUM_FOLDS):
        one = copy.deepcopy(config)  # with its references: trunks take the fold from it
        one.dataset.options.fold = fold
        made.append((fold, one))
    return made


def _weights(given: str, published_file: str) -> Path | None:
    """The file of these weights in a folder, in whatever format it is."""
    if not given:
        return None
    folder = filesystem.local(given, "--weights")
    if not folder.is_dir():
        raise UserError(f"--weights is {given}, and no folder is there; name the folder of files.")
    stem = published_file.rpartition(".")[0]
    found = [folder / f"{stem}{end}" for end in starts.FILES]
    return next((file for file in found if file.is_file()), None)


def _check_arguments(settings: Settings) -> None:
    for name in parse_pairs("--arguments", settings.arguments):
        if name in ("seed", "dataset", "trunks_from", "init_from"):
            raise UserError(
                f"--arguments names {name}, which differs between the runs of a table; leave it "
                "out: --seeds, --dataset and --weights set it."
            )
    one_of_each = set()
    for name in settings.datasets:
        one_of("--dataset", name, catalog.DATASETS)
        if name in one_of_each:
            raise UserError(f"--dataset names {name} twice; name it once.")
        one_of_each.add(name)


def _with_trunks(rows: list[PlannedRow]) -> list[PlannedRow]:
    """A row lacks what its trunks lack."""
    lacking = {(one.dataset, one.row.name) for one in rows if one.lacks}
    made = []
    for one in rows:
        missing = [name for name in one.row.trunks if (one.dataset, name) in lacking]
        if missing and not one.lacks:
            one = dataclasses.replace(one, lacks=f"its trunk {missing[0]} cannot be trained")
        made.append(one)
    return made
