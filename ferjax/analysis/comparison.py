"""Finished runs against the first of them: the figures, as tables, as CSV and as JSON.

The object of `--json`, format 1 (fractions, not percent): `format`, `view`, `group`, `images` (how
many), `labels`, and `rows`, one for each folder:

    name, protocol, seeds
    metrics         accuracy, balanced_accuracy, macro_f1, top2_accuracy, loss, calibration_error:
                    means over the seeds
    recall          of each class, likewise; null for a class without images
    compared        null in the first row; else the fields of `paired.Comparison` and `verdict`
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ferjax import filesystem
from ferjax.cli import output, tables
from ferjax.errors import UserError
from ferjax.evaluation import finished_runs, paired
from ferjax.evaluation.finished_runs import FinishedRuns
from ferjax.evaluation.intervals import Interval
from ferjax.evaluation.paired import Comparison

FORMAT = 1
_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "top2_accuracy",
    "loss",
    "calibration_error",
)

# The columns of `difference_cells`.
DIFFERENCES = (
    "verdict",
    "accuracy",
    "over images",
    "over seeds",
    "McNemar p",
    "macro-F1",
    "interval",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One folder of runs.

    Attributes:
      runs: what it holds.
      metrics: means over the seeds.
      recall: of each class, mean over the seeds; NaN for a class without images.
      compared: with the first row; None in the first row.
    """

    runs: FinishedRuns
    metrics: Mapping[str, float]
    recall: tuple[float, ...]
    compared: Comparison | None


@dataclasses.dataclass(frozen=True)
class Found:
    """The result of `compare`.

    Attributes:
      view: the test-time view.
      group: the group of images.
      images: how many images the group has.
      labels: names of the classes.
      counts: images of each class.
      rows: one for each folder.
    """

    view: str
    group: str
    images: int
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        """See the head of this file."""
        return {
            "format": FORMAT,
            "view": self.view,
            "group": self.group,
            "images": self.images,
            "labels": list(self.labels),
            "rows": [
                {
                    "name": row.runs.name,
                    "protocol": "optimistic" if row.runs.is_optimistic else "honest",
                    "seeds": list(row.runs.seeds),
                    "metrics": dict(row.metrics),
                    "recall": _plain(row.recall),
                    "compared": None if row.compared is None else _as_json(row.compared),
                }
                for row in self.rows
            ],
        }


def compare(
    runs: Sequence[FinishedRuns], *, view: str | None = None, group: str | None = None
) -> Found:
    """Compares runs with the first of them.

    Args:
      runs: at least one.
      view: a test-time view; "flip" by default, or the first of the first run.
      group: a group of test images; all by default.

    Raises:
      UserError: the runs were tested on other images, in other views, or with another number of
        seeds.
    """
    first = runs[0]
    views = list(first.first.result["test"])
    view = view or ("flip" if "flip" in views else views[0])
    group = group or first.first.tested.split
    finished_runs.check_comparable(runs, view, group)
    for one in runs[1:]:
        if len(one.seeds) != len(first.seeds) or (len(one.seeds) > 1 and one.seeds != first.seeds):
            raise UserError(
                f"{one.name} has the seeds {_joined(one.seeds)} and {first.name} has "
                f"{_joined(first.seeds)}; seeds are paired, so name folders with the same."
            )
    true, number = first.true(group), len(first.labels)
    reference, persons = first.predicted(view, group), first.persons(group)
    rows = []
    for one in runs:
        each = one.metrics(view, group)
        counts = np.array(each[0]["confusion"]).sum(axis=1)
        recall = np.mean([seed["per_class_recall"] for seed in each], axis=0)
        rows.append(
            Row(
                runs=one,
                metrics={name: float(np.mean([seed[name] for seed in each])) for name in _METRICS},
                recall=tuple(np.where(counts > 0, recall, math.nan).tolist()),
                compared=None
                if one is first
                else paired.compare(reference, one.predicted(view, group), true, number, persons),
            )
        )
    return Found(
        view=view,
        group=group,
        images=len(true),
        labels=first.labels,
        counts=tuple(np.bincount(true, minlength=number).tolist()),
        rows=tuple(rows),
    )


def show(found: Found) -> None:
    """Prints the scores, the differences, and the gain of each class."""
    about = f"({found.view}, {found.images:,} images of {found.group})"
    scores = tables.plain_table(
        f"Scores {about}",
        ["run", "seeds", "accuracy", "balanced", "macro-F1", "top-2", "NLL", "ECE"],
    )
    differences = tables.plain_table(
        f"Against {found.rows[0].runs.name}, in percentage points {about}",
        ["run", *DIFFERENCES],
    )
    gains = tables.plain_table(
        f"Recall of each class, and its gain against {found.rows[0].runs.name} in points",
        ["class", "images", *(row.runs.name for row in found.rows)],
    )
    for row in found.rows:
        name = row.runs.name + (" (OPTIMISTIC)" if row.runs.is_optimistic else "")
        texts = [
            f"{value:.4f}" if metric == "loss" else _percent(value)
            for metric, value in row.metrics.items()
        ]
        tables.add_row(scores, name, _joined(row.runs.seeds), *texts)
        if row.compared is not None:
            tables.add_row(differences, name, *difference_cells(row.compared))
    for at, (label, count) in enumerate(zip(found.labels, found.counts, strict=True)):
        cells = [_with_gain(row, at) for row in found.rows]
        tables.add_row(gains, label, str(count), *cells)
    tables.print_tables(scores, differences, gains)
    if any(row.runs.is_optimistic for row in found.rows):
        output.say("OPTIMISTIC: the epoch was selected on the images that are reported.")


def difference_cells(compared: Comparison) -> list[str]:
    """Cells of a table: verdict, accuracy, its intervals, McNemar's p, macro-F1, its interval."""
    return [
        compared.verdict,
        tables.points(compared.accuracy),
        tables.points_interval(compared.over_images),
        tables.points_interval(compared.over_seeds),
        ", ".join(f"{test.p:.2g}" for test in compared.mcnemar) or "-",
        tables.points(compared.macro_f1),
        tables.points_interval(compared.macro_f1_over_images),
    ]


def write_csv(found: Found, path: str) -> None:
    """Writes one line for each row and figure: run, seeds, metric, class, value, difference, ...

    Raises:
      UserError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["run", "seeds", "view", "group", "metric", "class", "value", "difference", "low", "high"]
    )
    for row in found.rows:
        start = [row.runs.name, _joined(row.runs.seeds), found.view, found.group]
        for line in _lines(row, found.labels):
            writer.writerow([*start, *("" if cell is None else cell for cell in line)])
    place = filesystem.of(path)
    try:
        filesystem.write(place, text.getvalue().encode())
    except OSError as error:
        raise UserError(
            f"--csv: {path} cannot be written ({filesystem.problem(place, error)}); name a file "
            "that can be."
        ) from None


def _lines(row: Row, labels: Sequence[str]) -> list[list[Any]]:
    """metric, class, value, difference, low, high; the interval is the one over images."""
    made: list[list[Any]] = []
    intervals: dict[str, tuple[float, Interval]] = {}
    if row.compared is not None:
        intervals["accuracy"] = row.compared.accuracy, row.compared.over_images
        intervals["macro_f1"] = row.compared.macro_f1, row.compared.macro_f1_over_images
    for name, value in row.metrics.items():
        difference, ends = intervals.get(name, (None, (None, None)))
        made.append([name, "", value, difference, *ends])
    for at, label in enumerate(labels):
        gain = None if row.compared is None else row.compared.recall[at]
        made.append(["recall", label, *_plain([row.recall[at], gain]), None, None])
    if row.compared is not None:
        if row.compared.over_seeds is not None:
            ends = row.compared.over_seeds
            made.append(["accuracy_over_seeds", "", None, row.compared.accuracy, *ends])
        for seed, test in zip(row.runs.seeds, row.compared.mcnemar, strict=False):
            made.append([f"mcnemar_p_seed_{seed}", "", test.p, None, None, None])
    return made


def _as_json(compared: Comparison) -> dict[str, Any]:
    fields = dataclasses.asdict(compared)
    fields["mcnemar"] = [test._asdict() for test in compared.mcnemar]
    fields["recall"] = _plain(compared.recall)
    return {"verdict": compared.verdict, **fields}


def _plain(values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None or math.isnan(value) else value for value in values]


def _with_gain(row: Row, at: int) -> str:
    if math.isnan(row.recall[at]):
        return "-"
    shown = _percent(row.recall[at])
    return shown if row.compared is None else f"{shown} ({tables.points(row.compared.recall[at])})"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _joined(seeds: Sequence[int]) -> str:
    return "+".join(map(str, seeds))
