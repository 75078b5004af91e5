"""The table of a study: the results of its finished runs, row by row, over their seeds."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ferjax import filesystem
from ferjax.cli import tables
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.metrics import SeedSummary, mean_sd_ci
from ferjax.reproduce import planned_result
from ferjax.reproduce.study import TABLE, Row, Run, Study, runs
from ferjax.workdir.metrics_log import read_rows

FORMAT = 1
# A center or island loss acts if its centres stay at their classes, |c_j - m_j| / |m_j| at most
# this in the median over classes, and its class means are further apart than the reference's.
MOST_OFFSET = 0.3
GEOMETRY = (
    "mean_pairwise_cosine",
    "center_pairwise_cosine",
    "between_within_variance",
    "center_offset",
)


@dataclasses.dataclass(frozen=True)
class Finished:
    """The results of the finished runs of a row; fractions, not percent.

    Attributes:
      row: the row of the study.
      seeds: the seeds of the finished runs.
      numbers: name -> mean, standard deviation and interval over these seeds: `validation` (of the
        selected epoch), and `VIEW`, `VIEW_clean`, `VIEW_macro_f1` of the test split.
      geometry: name -> mean over the seeds, of the selected epoch (see `class_geometry`).
      acts: whether the loss acts (see `MOST_OFFSET`), None if that is not known.
      collapsed: how many of the runs ended as class frequencies.
    """

    row: Row
    seeds: tuple[int, ...]
    numbers: Mapping[str, SeedSummary]
    geometry: Mapping[str, float]
    acts: bool | None
    collapsed: int


def collect(
    study: Study,
    workdir: str,
    *,
    assignments: Sequence[str] = (),
    on_left_out: Callable[[str], None] = lambda _: None,
) -> list[Finished]:
    """Reads the finished runs of every row; rows without one are left out.

    Args:
      study: what was to be trained.
      workdir: where.
      assignments: as `study.runs`.
      on_left_out: called with a sentence for a folder that holds the run of another config.

    Raises:
      UserError: as `study.runs`, or files of a run are damaged or of two runs.
    """
    planned = runs(study, workdir, assignments=assignments)
    outcomes: dict[str, dict[int, dict[str, Any]]] = {row.name: {} for row in study.rows}
    for run in planned:
        found = _outcome(run, on_left_out)
        if found is not None:
            outcomes[run.row][run.config.seed] = found
    reference = outcomes.get(study.reference, {})
    return [
        _finished(row, outcomes[row.name], {} if row.name == study.reference else reference)
        for row in study.rows
        if outcomes[row.name]
    ]


def show(title: str, rows: Sequence[Finished]) -> None:
    """Prints two tables: the scores, and where class means and centres lie."""
    if not rows:
        print("No run is finished.")
        return
    views = [name for name in rows[0].numbers if name != "validation"]
    main = "flip" if "flip" in views else views[0]
    scores = tables.plain_table(
        title, ["row", "", "seeds", "validation", f"test {main}", "macro-F1"]
    )
    geometry = tables.plain_table(
        "Features of the selected epoch (sums over ordered pairs of cos + 1)",
        ["row", "acts", "class means", "centres", "between/within", "centre offset"],
    )
    for one in rows:
        tables.add_row(
            scores,
            one.row.name,
            "collapsed" if one.collapsed else "",
            "+".join(map(str, one.seeds)),
            _percent(one.numbers["validation"]),
            *(_percent(one.numbers.get(name)) for name in (main, f"{main}_macro_f1")),
        )
        figures = [one.geometry.get(name) for name in GEOMETRY]
        tables.add_row(
            geometry,
            one.row.name,
            {None: "-", True: "yes", False: "no"}[one.acts],
            *("-" if value is None else f"{value:.3g}" for value in figures),
        )
    tables.print_tables(scores, geometry)


def write(study: Study, rows: Sequence[Finished], workdir: str) -> None:
    """Writes table.json: format, title, config, reference, and the rows with their figures."""
    fields = {
        "format": FORMAT,
        "title": study.title,
        "config": study.config,
        "reference": study.reference,
        "rows": [
            {
                "name": one.row.name,
                "arguments": one.row.arguments,
                "fields": dict(one.row.fields),
                "seeds": list(one.seeds),
                "numbers": dict(one.numbers),
                "geometry": dict(one.geometry),
                "acts": one.acts,
                "collapsed": one.collapsed,
            }
            for one in rows
        ],
    }
    filesystem.write_json(filesystem.of(workdir) / TABLE, fields)


def _outcome(run: Run, on_left_out: Callable[[str], None]) -> dict[str, Any] | None:
    """The result of a finished run, with the metrics of its selected epoch."""
    result = planned_result.read(run, on_left_out)
    if result is None:
        return None
    selected = _selected(run.folder / "metrics.jsonl", result["selection"]["epoch"])
    return {**result, "selected": selected}


def _selected(file: Place, epoch: int) -> dict[str, Any]:
    """The metrics of an epoch."""
    try:
        rows = (row for _, row in read_rows(file))
        for row in rows:
            if row["kind"] == "epoch" and row["epoch"] == epoch:
                return row
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror or error}): restore it from a copy."
        ) from None
    raise UserError(
        f"{file} has no row of epoch {epoch}, which result.json beside it says was selected: "
        "restore both from a copy."
    )


def _finished(
    row: Row, outcomes: Mapping[int, Mapping[str, Any]], reference: Mapping[int, Mapping[str, Any]]
) -> Finished:
    results = list(outcomes.values())
    numbers = {"validation": mean_sd_ci([one["selection"]["accuracy"] for one in results])}
    for view, groups in results[0]["test"].items():
        for group in groups:
            if not all(group in one["test"].get(view, {}) for one in results):
                continue
            name = view + ("_clean" if group.endswith("_clean") else "")
            for suffix, field in (("", "accuracy"), ("_macro_f1", "macro_f1")):
                values = [one["test"][view][group][field] for one in results]
                numbers[name + suffix] = mean_sd_ci(values)
    geometry = {
        name: mean_sd_ci([_figure(one, name) for one in results])["mean"]
        for name in GEOMETRY
        if all(_figure(one, name) is not None for one in results)
    }
    return Finished(
        row=row,
        seeds=tuple(outcomes),
        numbers=numbers,
        geometry=geometry,
        acts=acts(outcomes, reference),
        collapsed=sum(map(_has_collapsed, results)),
    )


def _has_collapsed(result: Mapping[str, Any]) -> bool:
    return any(warning["kind"] == "collapsed" for warning in result.get("warnings", ()))


def acts(
    outcomes: Mapping[int, Mapping[str, Any]], reference: Mapping[int, Mapping[str, Any]]
) -> bool | None:
    """Whether it holds for every seed; None without centres or the reference's same seeds."""
    if any(_figure(one, "center_offset") is None for one in outcomes.values()):
        return None
    if not outcomes or any(seed not in reference for seed in outcomes):
        return None
    name = "mean_pairwise_cosine"
    compared = [one for seed in outcomes for one in (outcomes[seed], reference[seed])]
    if any(_figure(one, name) is None for one in compared):
        return None
    return all(
        _figure(one, "center_offset") <= MOST_OFFSET
        and _figure(one, name) < _figure(reference[seed], name)
        for seed, one in outcomes.items()
    )


def _figure(outcome: Mapping[str, Any], name: str) -> Any:
    """A figure of geometry of the selected epoch, whatever split selected it."""
    selected = outcome["selected"]
    found = selected.get(f"validation_{name}", selected.get(f"optimistic_{name}"))
    if isinstance(found, bool) or not isinstance(found, int | float) or abs(found) > sys.maxsize:
        return None
    return found if math.isfinite(found) else None


def _percent(summary: SeedSummary | None) -> str:
    if summary is None:
        return "-"
    text = f"{100 * summary['mean']:.2f}"
    return text if summary["sd"] is None else f"{text} ± {100 * summary['sd']:.2f}"
