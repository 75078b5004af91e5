"""The results of a paper's table: printed and measured, and which orderings hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ferjax.config import stored
from ferjax.config.papers import Printed, Table
from ferjax.errors import UserError
from ferjax.evaluation import finished_runs, intervals, paired
from ferjax.evaluation.finished_runs import FinishedRuns
from ferjax.evaluation.paired import Comparison
from ferjax.metrics import SeedSummary, mean_sd_ci
from ferjax.reproduce import planned_result
from ferjax.reproduce.paper_runs import PlannedRow

# The metrics that are measured for every row, beside those that the paper prints.
ALWAYS = ("accuracy", "macro_f1", "balanced_accuracy")


@dataclasses.dataclass(frozen=True)
class RowResult:
    """A row of a table on a data set; fractions, not percent.

    Attributes:
      planned: its runs.
      printed: the paper's numbers for it and the data set.
      runs: the seeds whose runs are all finished; None if there is none.
      measured: metric -> mean, deviation and Student's interval over these seeds.
      over_images: with one run, the 95 % interval of its accuracy over images; else None.
      clean: the accuracy on the clean test images, likewise; None where there are none.
      confusion: [K, K], share of the images of a class (row) that are called each class, the mean
        over the seeds; None without a run.
      collapsed: how many runs ended as class frequencies.
      reason: why it has fewer seeds than planned; "" if it has all.
    """

    planned: PlannedRow
    printed: tuple[Printed, ...]
    runs: FinishedRuns | None
    measured: Mapping[str, SeedSummary]
    over_images: intervals.Interval | None
    clean: SeedSummary | None
    confusion: Float[np.ndarray, "K K"] | None
    collapsed: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Ordering:
    """An ordering that the paper claims.

    Attributes:
      lower: the name of a row.
      higher: the name of the row that the paper has above it.
      seeds: the seeds of both that are finished.
      compared: the second against the first; None where a run is missing.
    """

    lower: str
    higher: str
    seeds: tuple[int, ...]
    compared: Comparison | None

    @property
    def holds(self) -> str:
        """Whether it "holds", is "reversed", or is "open"; "not run" without runs of both.

        With one seed it holds for two trained models, and this is said.
        """
        if self.compared is None:
            return "not run"
        said = {"higher": "holds", "lower": "reversed", "open": "open"}[self.compared.verdict]
        return said if said == "open" or len(self.seeds) > 1 else f"{said} (one seed)"


@dataclasses.dataclass(frozen=True)
class DatasetResult:
    """The results of a table on one data set, in the test-time view that is reported."""

    table: Table
    dataset: str
    view: str
    rows: tuple[RowResult, ...]
    orderings: tuple[Ordering, ...]


def collect(
    table: Table,
    planned: Sequence[PlannedRow],
    *,
    view: str,
    reasons: Mapping[tuple[str, str], str],
    on_left_out: Callable[[str], None],
) -> list[DatasetResult]:
    """Reads the finished runs of a table.

    Args:
      table: the table.
      planned: its rows.
      view: the test-time view that is reported.
      reasons: why rows are not complete, by data set and row.
      on_left_out: called with a sentence for a folder that holds the run of another config.
    """
    made = []
    for dataset in dict.fromkeys(one.dataset for one in planned):
        of_data = [one for one in planned if one.dataset == dataset]
        rows = [
            _row(one, view, reasons.get((dataset, one.row.name), ""), on_left_out)
            for one in of_data
        ]
        found = {one.planned.row.name: one.runs for one in rows}
        orderings = [_ordering(pair, view, found) for pair in table.orderings]
        made.append(DatasetResult(table, dataset, view, tuple(rows), tuple(orderings)))
    return made


def _row(
    planned: PlannedRow, view: str, reason: str, on_left_out: Callable[[str], None]
) -> RowResult:
    printed = tuple(one for one in planned.row.printed if one.dataset == planned.dataset)
    empty = RowResult(planned, printed, None, {}, None, None, None, 0, reason or "not run")
    try:
        runs = _finished(planned, on_left_out)
        if runs is None:
            return empty
        finished_runs.check_comparable([runs], view, runs.first.tested.split)
    except UserError as error:  # the other rows have their numbers
        return dataclasses.replace(empty, reason=str(error))
    return _measured(empty, runs, view)


def _measured(empty: RowResult, runs: FinishedRuns, view: str) -> RowResult:
    """The row with the numbers of its finished seeds."""
    group = runs.first.tested.split
    scores = [
        {**one, **_of_training(unit)}
        for one, unit in zip(runs.metrics(view, group), runs.units, strict=True)
    ]
    wanted = dict.fromkeys((*ALWAYS, *(one.metric for one in empty.printed)))
    metrics = {name: [one[name] for one in scores] for name in wanted if name in scores[0]}
    each = [run for unit in runs.units for run in unit]
    clean = f"{group}_clean"
    has_clean = all(run.tested.groups.get(clean, np.zeros(1)).any() for run in each)
    one_seed = None
    if len(each) == 1:
        low, high = each[0].result["test"][view][group]["intervals"]["accuracy"]
        one_seed = (low, high)
    warned = [warning for run in each for warning in run.result.get("warnings", ())]
    return dataclasses.replace(
        empty,
        runs=runs,
        measured={name: mean_sd_ci(values) for name, values in metrics.items()},
        over_images=one_seed,
        clean=mean_sd_ci([one["accuracy"] for one in runs.metrics(view, clean)])
        if has_clean
        else None,
        confusion=_row_shares([one["confusion"] for one in scores]),
        collapsed=sum(warning["kind"] == "collapsed" for warning in warned),
        reason="" if runs.seeds == empty.planned.seeds else empty.reason,
    )


def _finished(planned: PlannedRow, on_left_out: Callable[[str], None]) -> FinishedRuns | None:
    """The seeds all of whose runs are finished."""
    done = [
        planned.folder / f"seed_{seed}"
        for seed in planned.seeds
        if all(planned_result.read(run, on_left_out) for run in planned.of_seed(seed))
    ]
    return finished_runs.load(planned.row.name, done, stored.of_run) if done else None


def _of_training(unit: Sequence[finished_runs.Run]) -> dict[str, float]:
    """train_loss and train_accuracy of the selected epoch, mean over folds; {} without training."""
    found = [run.result["training"] for run in unit if run.result.get("training")]
    if len(found) < len(unit):
        return {}
    names = ("loss", "accuracy")
    return {f"train_{name}": float(np.mean([one[name] for one in found])) for name in names}


def _row_shares(confusions: Sequence[Any]) -> Float[np.ndarray, "K K"]:
    counts = np.array(confusions, np.float64)
    return (counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)).mean(axis=0)


def _ordering(
    pair: tuple[str, str], view: str, found: Mapping[str, FinishedRuns | None]
) -> Ordering:
    """Compares two rows over the seeds that both have."""
    first, second = (found[name] for name in pair)
    seeds: tuple[int, ...] = ()
    if first is not None and second is not None:
        seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
    if first is None or second is None or not seeds:
        return Ordering(*pair, (), None)
    group = first.first.tested.split
    try:
        finished_runs.check_comparable([first, second], view, group)
    except UserError:  # such as data that were prepared anew between two runs
        return Ordering(*pair, (), None)
    before, after = (
        [one.predicted(view, group)[one.seeds.index(seed)] for seed in seeds]
        for one in (first, second)
    )
    true, persons = first.true(group), first.persons(group)
    compared = paired.compare(before, after, true, len(first.labels), persons)
    return Ordering(*pair, seeds, compared)
