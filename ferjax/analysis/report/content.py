"""What the page of a report says in texts and tables; every number is a file's of the run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ferjax.analysis.report.facts import RunFacts

Table = dict[str, Any]


def alarms(facts: Sequence[RunFacts]) -> list[tuple[str, str]]:
    """What a reader has to know first: a headline and a sentence for each."""
    made = []
    for one in facts:
        if one.collapse:
            made.append((f"{one.name} collapsed", one.collapse))
        if one.is_optimistic:
            said = "Its epoch was selected on the images that are reported, or its splits leak."
            made.append((f"{one.name} is optimistic", said))
    return made


def headline(one: RunFacts) -> dict[str, Any]:
    """A title, the three numbers at the top with their intervals, and a sentence."""
    found = one.result["test"][one.view][one.group]
    numbers = [
        (name, percent(found.get(key)), _interval(found, key))
        for name, key in (
            ("accuracy", "accuracy"),
            ("macro-F1", "macro_f1"),
            ("balanced accuracy", "balanced_accuracy"),
        )
    ]
    departures = "; ".join(one.result.get("departures", ()))
    said = (
        f"{found['num_examples']:,} images of {one.group}, view {one.view}. Protocol: "
        f"{one.result['protocol']}. Paper: {one.result['paper'] or 'none'}"
        + (f", from which it departs: {departures}." if departures else ".")
    )
    return {"title": one.name, "numbers": numbers, "said": said}


def scores(facts: Sequence[RunFacts]) -> Table:
    """All scores of all views and groups."""
    header = (
        "run, view, images",
        "images",
        "accuracy",
        "95 % interval",
        "balanced",
        "macro-F1",
        "top-2",
        "NLL",
        "ECE",
        "ECE, calibrated",
    )
    rows = []
    for one in facts:
        for view, groups in one.result["test"].items():
            for group, found in groups.items():
                after = found.get("calibrated", {})
                rows.append(
                    (
                        f"{one.name}, {view}, {group}",
                        f"{found['num_examples']:,}",
                        percent(found["accuracy"]),
                        _interval(found, "accuracy"),
                        percent(found.get("balanced_accuracy")),
                        percent(found["macro_f1"]),
                        percent(found.get("top2_accuracy")),
                        f"{found['loss']:.4f}",
                        percent(found.get("calibration_error")),
                        percent(after.get("calibration_error")),
                    )
                )
    return {"caption": "Test scores", "header": header, "rows": rows}


def classes(one: RunFacts) -> Table:
    """Recall, precision and F1 of each class in the view of the headline."""
    found = one.result["test"][one.view][one.group]
    rows = []
    for at, label in enumerate(one.result["labels"]):
        number = sum(found["confusion"][at])
        rows.append(
            (
                label,
                f"{number:,}",
                percent(found["per_class_recall"][at]) if number else "-",
                percent(found["per_class_precision"][at]),
                percent(found["per_class_f1"][at]) if number else "-",
            )
        )
    header = ("class", "images", "recall", "precision", "F1")
    return {"caption": f"{one.name}, {one.view}, {one.group}", "header": header, "rows": rows}


def confusion(one: RunFacts) -> Table:
    """The counts of the confusion matrix in the view of the headline."""
    matrix = one.result["test"][one.view][one.group]["confusion"]
    labels = one.result["labels"]
    rows = [
        (label, *(f"{count:,}" for count in row)) for label, row in zip(labels, matrix, strict=True)
    ]
    caption = f"{one.name}: confusion matrix in numbers"
    return {"caption": caption, "header": ("true class", *labels), "rows": rows}


def counts(name: str, labels: Sequence[str], found: Mapping[str, Sequence[int]]) -> Table:
    """Images of each class in each split."""
    rows = [
        (label, *(f"{values[at]:,}" for values in found.values()))
        for at, label in enumerate(labels)
    ]
    rows.append(("all", *(f"{sum(values):,}" for values in found.values())))
    return {"caption": name, "header": ("class", *found), "rows": rows}


def about(one: RunFacts) -> Table:
    """How the run was made."""
    result, chosen, cost = one.result, one.result["selection"], one.result["cost"]
    options = ", ".join(f"{name}={value}" for name, value in result["options"].items())
    versions = ", ".join(f"{name} {number}" for name, number in result.get("versions", {}).items())
    machine, paper = result.get("machine", {}), result["paper"] or "none"
    rows = [
        ("paper", paper),
        ("data set", result["dataset"] + (f" ({options})" if options else "")),
        ("fingerprint of the data", result["fingerprint"]),
        ("protocol", result["protocol"]),
        (
            "differs from the paper in",
            "; ".join(result.get("departures", ())) or "fields of the config, if any: see below",
        ),
        ("seed", str(result["seed"])),
        (
            "selected epoch",
            f"{chosen['epoch']} by {chosen['split']} accuracy ({chosen['view']}), "
            f"{percent(chosen['accuracy'])}",
        ),
        ("updates", f"{result['num_steps']:,}"),
        ("parameters", f"{result['parameters']:,}" if "parameters" in result else "-"),
        (
            "cost",
            f"{cost['train_seconds'] / 60:.1f} minutes, {cost['images_per_second']:,.0f} images/s",
        ),
        (
            "machine",
            f"{machine.get('num_devices', '-')} x {machine.get('device', '-')} "
            f"({machine.get('platform', '-')})",
        ),
        ("versions", versions),
        ("finished", result.get("finished", "-")),
    ]
    return {"caption": one.name, "header": ("", ""), "rows": rows, "kind": "words"}


def percent(fraction: float | None) -> str:
    """A fraction in %, as the tables of the commands show it."""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.2f} %"


def _interval(found: Mapping[str, Any], key: str) -> str:
    ends = found.get("intervals", {}).get(key)
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %" if ends else "-"
