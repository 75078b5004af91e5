"""What several runs say together: over seeds, over folds, and over seeds of folds.

The result.json of a folder of runs, format 1 (fractions, not percent):

    format, paper, dataset, fingerprint, protocol, departures    those of the runs
    over            "seed" or "fold"
    values          which
    test            {view: {group: {accuracy, macro_f1, loss: {n, mean, sd, ci95}}}}; over seeds of
                    folds the mean over folds of each seed is one value. Folds share their training
                    images, so that they have no confidence interval (null).
    pooled          over folds: {view: {group: {num_examples, accuracy, ..., confusion}}} of all
                    test images together, each of which one fold tests
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ferjax.cli import tables
from ferjax.metrics import SeedSummary, mean_sd_ci, rates

FORMAT = 1
NUMBERS = ("accuracy", "macro_f1", "loss")
SHARED = ("paper", "dataset", "fingerprint", "protocol")


def summarise(over: str, values: Sequence[int], outcomes: Sequence[Mapping[str, Any]]) -> dict:
    """The object that the result.json of a folder of runs holds; see the head of this file.

    Args:
      over: "seed" or "fold".
      values: of each run.
      outcomes: the results of the runs, or such summaries of them.
    """
    first = outcomes[0]
    # One run may have no clean test image: a group is summed up where all have it.
    groups_of = {
        view: [group for group in groups if all(group in one["test"][view] for one in outcomes)]
        for view, groups in first["test"].items()
    }
    test = {
        view: {
            group: {
                name: _spread([_number(one["test"][view][group][name]) for one in outcomes], over)
                for name in NUMBERS
            }
            for group in groups
        }
        for view, groups in groups_of.items()
    }
    fields: dict[str, Any] = {
        "format": FORMAT,
        **{key: first[key] for key in SHARED},
        "departures": first.get("departures", []),
        "over": over,
        "values": list(values),
        "test": test,
    }
    if over == "fold":
        fields["pooled"] = {
            view: {
                group: rates(
                    np.sum([one["test"][view][group]["confusion"] for one in outcomes], axis=0)
                )
                for group in groups
            }
            for view, groups in groups_of.items()
        }
    return fields


def print_summary(summary: Mapping[str, Any]) -> None:
    """Prints mean and deviation of the accuracies, and what folds say of all images together."""
    rows = {
        f"{view}, {group}": numbers["accuracy"]
        for view, groups in summary["test"].items()
        for group, numbers in groups.items()
    }
    values = ", ".join(map(str, summary["values"]))
    optimistic = "" if summary["protocol"] == "honest" else ", OPTIMISTIC"
    title = f"Test accuracy over {summary['over']}s {values}{optimistic}"
    tables.print_tables(tables.seed_table(rows, title))
    if "pooled" in summary:
        together = {
            f"{view}, {group}": f"{100 * numbers['accuracy']:.2f} % accuracy, "
            f"{100 * numbers['macro_f1']:.2f} % macro-F1 of {numbers['num_examples']} images"
            for view, groups in summary["pooled"].items()
            for group, numbers in groups.items()
        }
        tables.print_tables(tables.figure_table(together, f"All test images together{optimistic}"))


def _number(value: Any) -> float:
    """A number of a run, or the mean of a summary."""
    return value["mean"] if isinstance(value, Mapping) else value


def _spread(values: list[float], over: str) -> SeedSummary:
    spread = mean_sd_ci(values)
    return SeedSummary({**spread, "ci95": None}) if over == "fold" else spread
