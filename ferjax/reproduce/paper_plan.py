"""What a table's command would do, and at what cost: `--dry_run`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ferjax.cli import output, tables
from ferjax.config import papers
from ferjax.config.papers import Row, Table
from ferjax.filesystem import Place
from ferjax.reproduce.cost import Cost
from ferjax.reproduce.paper_runs import PlannedRow
from ferjax.reproduce.text_tables import TextTable


def show(table: Table, rows: Sequence[PlannedRow], costs: Sequence[Cost]) -> None:
    """Prints the paper's numbers, the runs, and the time that they are expected to take."""
    trained = [one for one in rows if one.role != "compared"]
    by_folder = {one.run.folder: one for one in costs}
    tables.print_tables(_printed(table).rich(), _runs(trained, by_folder).rich())
    output.say("")
    for one in trained:
        if one.lacks:
            output.say(f"{one.dataset}, {one.row.name} cannot be trained: {one.lacks}.")
    output.say(_total([by_folder[run.folder] for one in trained for run in one.runs]))
    for text in (table.remark, *_remarks(table)):
        if text:
            output.say(text)


def _printed(table: Table) -> TextTable:
    made = TextTable(f"{table.key}: {table.title}, as printed", ["row", *table.datasets])
    for row in table.rows:
        made.add(row.title, *(_numbers(row, dataset) for dataset in table.datasets))
    return made


def _numbers(row: Row, dataset: str) -> str:
    found = []
    for one in row.printed:
        if one.dataset == dataset:
            what = one.class_name or ("" if one.metric == "accuracy" else one.metric)
            found.append(f"{what} {one.value:g}".strip())
    return ", ".join(found) or "-"


def _runs(rows: Sequence[PlannedRow], by_folder: Mapping[Place, Cost]) -> TextTable:
    columns = ["data set", "row", "arguments", "runs", "finished", "epochs", "images/s", "to come"]
    made = TextTable("Runs", columns, names=3)
    for one in rows:
        costs = [by_folder[run.folder] for run in one.runs]
        seconds = [cost.seconds for cost in costs]
        known = [cost.seconds or 0.0 for cost in costs]
        made.add(
            one.dataset,
            one.row.name,
            one.row.arguments or "-",
            str(len(costs)),
            str(sum(cost.is_done for cost in costs)),
            str(one.runs[0].config.train.num_epochs),
            "-" if costs[0].rate is None else f"{costs[0].rate:,.0f}",
            "unknown" if None in seconds else _time(math.fsum(known)),
        )
    return made


def _total(costs: Sequence[Cost]) -> str:
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    unknown = sum(cost.seconds is None for cost in costs)
    text = f"{len(costs)} runs, {_time(math.fsum(seconds))} to come without tests"
    if unknown:
        text += (
            f", and {unknown} runs whose time is not known: no run like them is finished here. "
            "--images_per_second=NUMBER, as ferjax.benchmark measures it, gives a rate"
        )
    return text + "."


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def _remarks(table: Table) -> list[str]:
    """What is odd about numbers of the table, and numbers of the text that contradict them."""
    found = []
    for row in table.rows:
        if row.remark:
            found.append(f"{row.title}: {row.remark}")
        for one in row.printed:
            if one.remark:
                what = " ".join(filter(None, (one.dataset, one.class_name, f"{one.value:g}")))
                found.append(f"{row.title}, {what}: {one.remark}.")
    names = {row.name for row in table.rows}
    for text in papers.papers()[table.paper].texts:
        if text.row in names:
            what = " ".join(filter(None, (text.dataset, text.class_name, f"{text.value:g}")))
            found.append(f"In the {text.where}, {text.row}, {what}: {text.remark}.")
    return found
