"""A paper's table as measured, on the terminal, as Markdown and as JSON.

The JSON, format 1 (fractions, not percent, but for `printed`): format, table, title, config,
arguments, fields, remark, datasets: [{dataset, view, rows, orderings}]. A row has name, title,
arguments, printed: [{metric, class_name, value, remark}], seeds, protocol, departures, epochs,
minutes, collapsed, reason, measured: {metric: {n, mean, sd, ci95}}, clean, over_images, confusion.
An ordering has lower, higher, holds, seeds, and the fields of `paired.Comparison` as compared.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ferjax import filesystem
from ferjax.cli import output, tables
from ferjax.config.papers import Table
from ferjax.evaluation.paired import Comparison
from ferjax.filesystem import Place
from ferjax.metrics import SeedSummary
from ferjax.reproduce.paper_results import DatasetResult, Ordering, RowResult
from ferjax.reproduce.paper_runs import Settings
from ferjax.reproduce.text_tables import TextTable

FORMAT = 1
_SHARES = ("accuracy", "recall", "train_accuracy", "macro_f1", "balanced_accuracy")


def text_tables(result: DatasetResult) -> list[TextTable]:
    """The tables for one data set."""
    own = [row.name for row in result.table.rows]
    shown = [row for row in result.rows if row.planned.row.name in own]
    shown.sort(key=lambda row: own.index(row.planned.row.name))
    made = [_scores(result, shown)]
    if result.table.kind == "confusion":
        made += [confusion_table(result, row) for row in shown if row.confusion is not None]
    if result.orderings:
        made.append(_orderings(result))
    return made


def notes(table: Table, results: Sequence[DatasetResult], settings: Settings) -> list[str]:
    """Sentences below the tables: settings, what is missing, what differs, remarks."""
    made = []
    given = [*filter(None, settings.arguments.split(",")), *settings.assignments]
    if given:
        made.append(f"Set for every row: {', '.join(given)}.")
    for result in results:
        for row in result.rows:
            if row.reason and row.planned.role != "compared":
                made.append(f"{result.dataset}, {row.planned.row.name}: {row.reason}")
    rows = [row for result in results for row in result.rows if row.runs is not None]
    if any(row.runs is not None and row.runs.is_optimistic for row in rows):
        made.append("OPTIMISTIC: the epoch was selected on the images that are reported.")
    departures = [text for row in rows for text in row.planned.runs[0].config.departures]
    made += [f"Not as in the paper: {text}." for text in dict.fromkeys(departures)]
    if table.remark:
        made.append(table.remark)
    return made


def show(table: Table, results: Sequence[DatasetResult], settings: Settings) -> None:
    """Prints the tables and the notes."""
    tables.print_tables(*(one.rich() for result in results for one in text_tables(result)))
    output.say("")
    for text in notes(table, results, settings):
        output.say(text)


def write(
    table: Table, results: Sequence[DatasetResult], settings: Settings
) -> tuple[Place, Place]:
    """Writes PAPER/TABLE.json and PAPER/TABLE.md in the workdir; returns their places.

    Raises:
      UserError: they cannot be written.
    """
    folder = filesystem.of(settings.workdir) / table.paper
    filesystem.make_folder(folder)
    as_json, as_text = folder / f"{table.name}.json", folder / f"{table.name}.md"
    fields = {
        "format": FORMAT,
        "table": table.key,
        "title": table.title,
        "config": table.config,
        "arguments": settings.arguments,
        "fields": list(settings.assignments),
        "remark": table.remark,
        "datasets": [_as_json(result) for result in results],
    }
    filesystem.write_json(as_json, fields)
    parts = [one.markdown() for result in results for one in text_tables(result)]
    lines = [f"# {table.key}: {table.title}", *parts, *notes(table, results, settings)]
    filesystem.write(as_text, ("\n\n".join(lines) + "\n").encode())
    return as_json, as_text


def _scores(result: DatasetResult, rows: Sequence[RowResult]) -> TextTable:
    title = f"{result.table.key}: {result.table.title} ({result.dataset}, {result.view})"
    columns = ["row", "metric", "printed", "measured", "95 % interval", "clean", "macro-F1"]
    made = TextTable(title, [*columns, "seeds", "epochs", "minutes"], names=2)
    for row in rows:
        metrics = [one.metric for one in row.printed if one.metric != "recall"]
        for metric in dict.fromkeys([*metrics, "accuracy"]):
            printed = [str(one.value) for one in row.printed if one.metric == metric]
            made.add(
                row.planned.row.title, metric, " / ".join(printed) or "-", *_cells(row, metric)
            )
    for context in result.table.rows:
        if context.is_context:
            values = [one.value for one in context.printed if one.dataset == result.dataset]
            cells = [" / ".join(map(str, values)) or "-", *["-"] * 7]
            made.add(f"{context.title} (other authors)", "accuracy", *cells)
    return made


def _cells(row: RowResult, metric: str) -> list[str]:
    """measured, interval, clean, macro-F1, seeds, epochs, minutes."""
    if row.runs is None:
        return ["not run", *["-"] * 6]
    measured = row.measured.get(metric)
    is_accuracy = metric == "accuracy"
    # Seeds that happen to score the same have no spread to tell an interval from.
    interval = measured["ci95"] if measured and measured["sd"] else None
    if is_accuracy and row.over_images is not None:
        interval = row.over_images
    return [
        _value(measured, metric) + (" collapsed" if is_accuracy and row.collapsed else ""),
        "-" if not interval else _interval(interval, metric, row),
        _value(row.clean, metric) if is_accuracy else "-",
        _value(row.measured["macro_f1"], "macro_f1") if is_accuracy else "-",
        str(len(row.runs.seeds)),
        str(_epochs(row)),
        f"{_minutes(row):.1f}",
    ]


def _interval(ends: Sequence[float], metric: str, row: RowResult) -> str:
    """An interval, and what it is over."""
    over = "images" if metric == "accuracy" and row.over_images is not None else "seeds"
    shown = tables.fractions(ends) if metric in _SHARES else ends
    return f"{' to '.join(_number(end, metric) for end in shown)} (over {over})"


def confusion_table(result: DatasetResult, row: RowResult) -> TextTable:
    """Row percent, the printed recall, and the gain per class over the reference."""
    assert row.runs is not None and row.confusion is not None
    labels = row.runs.labels
    reference = next(
        (one for one in result.rows if one.planned.row.name == result.table.reference), None
    )
    compared = None if reference is None or reference is row else reference.confusion
    gain = [] if compared is None else [f"gain over {result.table.reference}"]
    title = f"{row.planned.row.title}: rows in % of the true class, mean of the seeds"
    made = TextTable(title, ["true class", *labels, "printed recall", *gain], names=1)
    for at, label in enumerate(labels):
        printed = [
            str(one.value)
            for one in row.printed
            if one.metric == "recall" and one.class_name == label
        ]
        difference = [] if compared is None else [row.confusion[at, at] - compared[at, at]]
        made.add(
            label,
            *(f"{100 * share:.1f}" for share in row.confusion[at]),
            " / ".join(printed) or "-",
            *(f"{100 * one:+.1f}" for one in difference),
        )
    return made


def _orderings(result: DatasetResult) -> TextTable:
    title = f"What the paper orders ({result.dataset}, {result.view}), in percentage points"
    columns = ["lower", "higher", "verdict", "difference", "over images", "over seeds", "McNemar p"]
    made = TextTable(title, [*columns, "seeds"], names=3)
    for one in result.orderings:
        cells = ["-"] * 4 if one.compared is None else _difference(one.compared)
        made.add(one.lower, one.higher, one.holds, *cells, str(len(one.seeds)))
    return made


def _difference(compared: Comparison) -> list[str]:
    return [
        tables.points(compared.accuracy),
        tables.points_interval(compared.over_images),
        tables.points_interval(compared.over_seeds),
        ", ".join(f"{test.p:.2g}" for test in compared.mcnemar) or "-",
    ]


def _value(summary: SeedSummary | None, metric: str) -> str:
    if summary is None:
        return "-"
    text = _number(summary["mean"], metric)
    return text if summary["sd"] is None else f"{text} ± {_number(summary['sd'], metric)}"


def _number(value: float, metric: str) -> str:
    return f"{100 * value:.2f}" if metric in _SHARES else f"{value:.4f}"


def _runs(row: RowResult) -> list[Any]:
    return [] if row.runs is None else [run for unit in row.runs.units for run in unit]


def _departures(row: RowResult) -> list[str]:
    return [text for run in _runs(row) for text in run.result.get("departures", ())]


def _epochs(row: RowResult) -> int:
    return row.planned.runs[0].config.train.num_epochs


def _minutes(row: RowResult) -> float:
    return sum(run.result["cost"]["train_seconds"] for run in _runs(row)) / 60


def _as_json(result: DatasetResult) -> dict[str, Any]:
    return {
        "dataset": result.dataset,
        "view": result.view,
        "rows": [_row_as_json(row) for row in result.rows],
        "orderings": [_ordering_as_json(one) for one in result.orderings],
    }


def _row_as_json(row: RowResult) -> dict[str, Any]:
    protocols = [run.result["protocol"] for run in _runs(row)]
    return {
        "name": row.planned.row.name,
        "title": row.planned.row.title,
        "arguments": row.planned.row.arguments,
        "printed": [
            {name: getattr(one, name) for name in ("metric", "class_name", "value", "remark")}
            for one in row.printed
        ],
        "seeds": [] if row.runs is None else list(row.runs.seeds),
        "protocol": ("optimistic" if "optimistic" in protocols else "honest")
        if protocols
        else None,
        "departures": list(dict.fromkeys(_departures(row))),
        "epochs": _epochs(row),
        "minutes": _minutes(row),
        "collapsed": row.collapsed,
        "reason": row.reason,
        "measured": dict(row.measured),
        "clean": row.clean,
        "over_images": row.over_images,
        "confusion": None if row.confusion is None else row.confusion.tolist(),
    }


def _ordering_as_json(one: Ordering) -> dict[str, Any]:
    compared = None
    if one.compared is not None:
        compared = dataclasses.asdict(one.compared)
        compared["mcnemar"] = [test._asdict() for test in one.compared.mcnemar]
        compared["recall"] = [None if math.isnan(gain) else gain for gain in compared["recall"]]
    return {
        "lower": one.lower,
        "higher": one.higher,
        "holds": one.holds,
        "seeds": list(one.seeds),
        "compared": compared,
    }
