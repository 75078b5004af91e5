"""Trains the rows of a paper's table: what is missing, one run after the other."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ferjax.cli import output
from ferjax.data.dataset import open_dataset
from ferjax.errors import UserError
from ferjax.reproduce.paper_runs import PlannedRow
from ferjax.reproduce.study import Run
from ferjax.training.loop import train as train_run


def train(rows: Sequence[PlannedRow]) -> dict[tuple[str, str], str]:
    """Trains every row's first seed, then every row's second, and so on.

    A finished run is not trained again. A run that fails does not stop the others.

    Returns:
      Why rows are not complete, by data set and row: data or weights that are not there, or the
      message of a run.

    Raises:
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    rows = [one for one in rows if one.role != "compared"]
    absent = {name: _absent(rows, name) for name in dict.fromkeys(one.dataset for one in rows)}
    reasons = {
        (one.dataset, one.row.name): absent[one.dataset] or one.lacks
        for one in rows
        if absent[one.dataset] or one.lacks
    }
    for seed in dict.fromkeys(seed for one in rows for seed in one.seeds):
        for one in rows:
            key = one.dataset, one.row.name
            for run in one.of_seed(seed):
                if key not in reasons and not _lacks_trunk(one, reasons):
                    _train(run, key, reasons)
    return reasons


def _lacks_trunk(row: PlannedRow, reasons: dict[tuple[str, str], str]) -> bool:
    """Whether the run of a trunk failed, which is then the reason of the row."""
    for name in row.row.trunks:
        if (row.dataset, name) in reasons:
            said = f"its trunk {name}: {reasons[row.dataset, name]}"
            reasons[row.dataset, row.row.name] = said
            return True
    return False


def _train(run: Run, key: tuple[str, str], reasons: dict[tuple[str, str], str]) -> None:
    with output.optional():
        output.say(f"== {run.folder}: {run.argument}")
    try:
        train_run(run.config, str(run.folder))
    except UserError as error:
        reasons[key] = f"{run.folder.name}: {error}"
        output.say(f"{run.folder} failed, and the other rows go on: {error}", file=sys.stderr)


def _absent(rows: Sequence[PlannedRow], dataset: str) -> str:
    """Why a data set cannot be opened, "" if it can."""
    run = next(one for one in rows if one.dataset == dataset).runs[0]
    fields = run.config.dataset
    try:
        open_dataset(dataset, fields.data_dir or None, **fields.options.to_dict())
    except UserError as error:
        return f"the data set is not there: {error}"
    return ""
