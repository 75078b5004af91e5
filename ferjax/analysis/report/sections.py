"""The sections of a report, each with its texts, figures, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ferjax.analysis import comparison
from ferjax.analysis.figures.confusion import confusion
from ferjax.analysis.figures.curves import curves
from ferjax.analysis.figures.reliability import reliability
from ferjax.analysis.report import content, image_sections, repeat
from ferjax.analysis.report.facts import RunFacts
from ferjax.analysis.report.section import Section
from ferjax.analysis.report.seen import Seen
from ferjax.cli import tables
from ferjax.errors import UserError
from ferjax.evaluation import probabilities

# Confusion matrices stand side by side in pairs.
_PAIR = 2


def all_of(facts: Sequence[RunFacts], seen: dict[str, Seen], method: str) -> list[Section]:
    """All sections, in their order.

    Args:
      facts: the runs.
      seen: those that can be shown images.
      method: see `plane.flatten`.
    """
    made = [
        scores(facts),
        *([differences(facts)] if len(facts) > 1 else []),
        learning(facts),
        classes(facts),
        calibration(facts),
    ]
    if seen:
        made += image_sections.all_of(seen, method)
    return [*made, made_of(facts)]


def scores(facts: Sequence[RunFacts]) -> Section:
    """All test scores."""
    text = (
        "NLL is the negative log-likelihood. ECE is the expected calibration error in 15 bins; "
        "calibrated means after a temperature that was fitted on the split that selected the epoch."
    )
    return Section("scores", "Scores", [text], tables=[content.scores(facts)])


def differences(facts: Sequence[RunFacts]) -> Section:
    """Every run against the first, on the same test images."""
    made = Section("differences", "Differences")
    runs, view, group = [one.finished for one in facts], facts[0].view, facts[0].group
    try:
        found = comparison.compare(runs, view=view, group=group)
    except UserError as error:
        made.texts.append(f"The runs cannot be compared: {error}")
        return made
    made.texts.append(
        "Differences in percentage points. A run is higher or lower if zero is not in the 95 % "
        "interval, a paired bootstrap over the images (or the persons, where they are known); this "
        "is about these trained models, not about other seeds."
    )
    first = found.rows[0].runs.name
    about = f"{found.view}, {found.images:,} images of {found.group}"
    header = (f"against {first}", *comparison.DIFFERENCES)
    rows = [
        (row.runs.name, *comparison.difference_cells(row.compared))
        for row in found.rows
        if row.compared is not None
    ]
    made.tables.append({"caption": f"Differences ({about})", "header": header, "rows": rows})
    gains = [
        (label, *(tables.points(row.compared.recall[at]) for row in found.rows if row.compared))
        for at, label in enumerate(found.labels)
        if found.counts[at]
    ]
    made.tables.append(
        {
            "caption": f"Gain in recall against {first}",
            "header": ("class", *(row[0] for row in rows)),
            "rows": gains,
        }
    )
    return made


def learning(facts: Sequence[RunFacts]) -> Section:
    """Learning curves."""
    made = Section("curves", "Learning curves")
    known = {one.name: one.series for one in facts if one.series}
    made.texts += [
        f"{one.name} has no epochs: nothing was trained, or metrics.jsonl is gone."
        for one in facts
        if not one.series
    ]
    if not known:
        return made
    selected = {one.name: one.result["selection"]["epoch"] for one in facts}
    made.texts.append(
        "Training accuracy is measured on augmented images while the weights still change. The "
        "point is the epoch that was selected."
    )
    splits = {one.name: one.selected.split for one in facts}
    made.figures.append(curves(known, selected, splits))
    return made


def classes(facts: Sequence[RunFacts]) -> Section:
    """Confusion matrices and the scores of each class."""
    made = Section("classes", "Classes")
    made.texts.append("Rows are true classes; each cell has its share of the row and its count.")
    for start in range(0, len(facts), _PAIR):
        some = facts[start : start + _PAIR]
        matrices = {
            one.name: np.array(one.result["test"][one.view][one.group]["confusion"]) for one in some
        }
        name = "confusion" if not start else f"confusion_{start // _PAIR + 1}"
        made.figures.append(confusion(matrices, facts[0].result["labels"], name))
    made.tables += [content.classes(one) for one in facts]
    made.folded += [content.confusion(one) for one in facts]
    return made


def calibration(facts: Sequence[RunFacts]) -> Section:
    """Reliability diagrams."""
    made = Section("calibration", "Calibration")
    made.texts.append(
        "A model is calibrated if, of the predictions with probability p, a share p is right: then "
        "its points lie on the diagonal. Above it the model is too modest, below it too sure. Bins "
        "of fewer than five images have no point."
    )
    diagrams = {}
    for one in facts:
        mask = one.tested.groups[one.group]
        rows, labels = one.tested.probabilities[one.view][mask], one.tested.label[mask]
        shown = {"as predicted": rows}
        temperature = one.result.get("temperature", {}).get(one.view)
        # Where it was fitted on these images it would say nothing.
        if temperature is not None and "calibrated" in one.result["test"][one.view][one.group]:
            shown[f"temperature {temperature:.2f}"] = probabilities.scaled(rows, temperature)
        diagrams[one.name] = shown, labels
    made.figures.append(reliability(diagrams))
    return made


def made_of(facts: Sequence[RunFacts]) -> Section:
    """How the runs were made, and how to repeat them."""
    made = Section("made", "How it was made")
    made.tables += [content.about(one) for one in facts]
    for one in facts:
        made.code.append((f"{one.name}: the command", repeat.command(one.config, one.where), True))
        made.code.append(
            (f"{one.name}: all fields of its config", repeat.fields(one.config), False)
        )
    return made
