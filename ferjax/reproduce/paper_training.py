"""Trains the rows of a paper's table: what is missing, one run after the other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from ferjax import filesystem
from ferjax.cli import output
from ferjax.data.dataset import open_dataset
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.reproduce import planned_result
from ferjax.reproduce.paper_runs import PlannedRow
from ferjax.reproduce.study import Run
from ferjax.training.loop import train as train_run


def train(rows: Sequence[PlannedRow]) -> dict[tuple[str, str], str]:
    """Trains every row's first seed, then every row's second, and so on.

    A finished run is not opened again. A run that fails does not stop the others, but for those
    that start from it.

    Returns:
      Why rows are not complete, by data set and row: data or weights that are not there, or the
      message of a run.

    Raises:
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    todo = [one for one in rows if one.role != "compared" and not all(map(_is_done, one.runs))]
    absent = {name: _absent(todo, name) for name in dict.fromkeys(one.dataset for one in todo)}
    reasons: dict[tuple[str, str], str] = {}
    failed: dict[Place, str] = {}
    for seed in dict.fromkeys(seed for one in todo for seed in one.seeds):
        for one in todo:
            for run in one.of_seed(seed):
                said = absent[one.dataset] or one.lacks or _after_trunks(run, failed) or _train(run)
                if said:
                    failed[run.folder] = said
                    reasons.setdefault((one.dataset, one.row.name), said)
    return reasons


def _is_done(run: Run) -> bool:
    """Whether it is finished here; what is wrong with its folder, training says."""
    try:
        return planned_result.read(run, lambda _: None) is not None
    except UserError:
        return False


def _after_trunks(run: Run, failed: Mapping[Place, str]) -> str:
    """Why a run of its trunks failed; "" if none did."""
    for path in run.config.trunks_from:
        said = failed.get(filesystem.of(path))
        if said:
            return f"its trunk {path} is missing: {said}"
    return ""


def _train(run: Run) -> str:
    """Trains a run; returns why it failed, or ""."""
    if _is_done(run):
        return ""
    with output.optional():
        output.say(f"== {run.folder}: {run.argument}")
    try:
        train_run(run.config, str(run.folder))
    except UserError as error:
        output.say(f"{run.folder} failed, and the other rows go on: {error}", file=sys.stderr)
        return f"{run.folder}: {error}"
    return ""


def _absent(rows: Sequence[PlannedRow], dataset: str) -> str:
    """Why a data set cannot be opened, "" if it can."""
    run = next(one for one in rows if one.dataset == dataset).runs[0]
    fields = run.config.dataset
    try:
        open_dataset(dataset, fields.data_dir or None, **fields.options.to_dict())
    except UserError as error:
        return f"the data set is not there: {error}"
    return ""
