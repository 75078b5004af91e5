"""The results of several runs together: over seeds, over folds, and over seeds of folds.

The result.json of a folder of runs, format 2 (fractions, not percent):

    format, paper, dataset, fingerprint, protocol, departures    of the runs
    over            "seed" or "fold"
    values          which
    test            {view: {group: {metric: {n, mean, sd, ci95}}}} for the metrics in `NUMBERS`;
                    over seeds of folds the mean over folds of each seed is one value. Folds share
                    their training images, so that they have no confidence interval (null). A metric
                    that a run of an older version lacks is not there.
    test_last       likewise of the last epochs, if all runs have it (see --report_last)
    pooled          over folds: {view: {group: {num_examples, accuracy, ..., confusion}}} of all
                    test images together; one fold tests each image
    pooled_last     likewise of the last epochs, if all runs have it
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ferjax.cli import tables
from ferjax.metrics import Rates, SeedSummary, mean_sd_ci, rates

FORMAT = 2
NUMBERS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_f1_present",
    "top2_accuracy",
    "loss",
    "calibration_error",
)
# what was tested, and its name over all images of folds
POOLED = {"test": "pooled", "test_last": "pooled_last"}
SHARED = ("paper", "dataset", "fingerprint", "protocol")


def summarise(over: str, values: Sequence[int], outcomes: Sequence[Mapping[str, Any]]) -> dict:
    """The object that the result.json of a folder of runs holds; see the head of this file.

    Args:
      over: "seed" or "fold".
      values: the seed or fold of each run.
      outcomes: the results of the runs, or such summaries of them.
    """
    first = outcomes[0]
    fields: dict[str, Any] = {
        "format": FORMAT,
        **{key: first[key] for key in SHARED},
        "departures": first.get("departures", []),
        "over": over,
        "values": list(values),
    }
    for test, pooled in POOLED.items():
        if not all(test in one for one in outcomes):
            continue
        each = [one[test] for one in outcomes]
        fields[test] = _every(each, lambda runs: _spreads(runs, over))
        if over == "fold":
            fields[pooled] = _every(each, _together)
    return fields


def print_summary(summary: Mapping[str, Any]) -> None:
    """Prints mean and deviation of the accuracies, and over folds the scores of all images."""
    values = ", ".join(map(str, summary["values"]))
    optimistic = "" if summary["protocol"] == "honest" else ", OPTIMISTIC"
    for test, pooled in POOLED.items():
        if test not in summary:
            continue
        last = ", last epochs" if test == "test_last" else ""
        rows = {
            f"{view}, {group}": numbers["accuracy"]
            for view, groups in summary[test].items()
            for group, numbers in groups.items()
        }
        title = f"Test accuracy over {summary['over']}s {values}{last}{optimistic}"
        tables.print_tables(tables.seed_table(rows, title))
        if pooled in summary:
            together = {
                f"{view}, {group}": f"{100 * numbers['accuracy']:.2f} % accuracy, "
                f"{100 * numbers['macro_f1']:.2f} % macro-F1{_of_present(numbers)} of "
                f"{numbers['num_examples']} images"
                for view, groups in summary[pooled].items()
                for group, numbers in groups.items()
            }
            title = f"All test images together{last}{optimistic}"
            tables.print_tables(tables.figure_table(together, title))


def _every(
    each: Sequence[Mapping[str, Any]], what: Callable[[list[Mapping[str, Any]]], Any]
) -> dict[str, dict[str, Any]]:
    """`{view: {group: what([metrics of each run])}}`, of the views and groups that all runs have.

    One run may have no clean test image.
    """
    return {
        view: {
            group: what([one[view][group] for one in each])
            for group in groups
            if all(group in one[view] for one in each)
        }
        for view, groups in each[0].items()
        if all(view in one for one in each)
    }


def _spreads(runs: list[Mapping[str, Any]], over: str) -> dict[str, SeedSummary]:
    return {
        name: _spread([_number(one[name]) for one in runs], over)
        for name in NUMBERS
        if all(name in one for one in runs)
    }


def _together(runs: list[Mapping[str, Any]]) -> Rates:
    return rates(np.sum([one["confusion"] for one in runs], axis=0))


def _of_present(numbers: Mapping[str, Any]) -> str:
    """The macro-F1 of the classes that have examples, if it differs."""
    if numbers["macro_f1_present"] == numbers["macro_f1"]:
        return ""
    return f" ({100 * numbers['macro_f1_present']:.2f} % of the classes present)"


def _number(value: Any) -> float:
    """A number of a run, or the mean of a summary."""
    return value["mean"] if isinstance(value, Mapping) else value


def _spread(values: list[float], over: str) -> SeedSummary:
    spread = mean_sd_ci(values)
    return SeedSummary({**spread, "ci95": None}) if over == "fold" else spread
