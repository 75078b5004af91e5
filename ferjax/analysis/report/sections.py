"""The sections of a report, each with its texts, figures, tables and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ferjax.analysis import comparison, damage, plane
from ferjax.analysis.figures.canvas import Figure
from ferjax.analysis.figures.confusion import confusion
from ferjax.analysis.figures.curves import curves
from ferjax.analysis.figures.embedding import Points, embedding
from ferjax.analysis.figures.gates import gates
from ferjax.analysis.figures.reliability import reliability
from ferjax.analysis.figures.robustness import robustness
from ferjax.analysis.report import content, faces, repeat
from ferjax.analysis.report.facts import RunFacts
from ferjax.analysis.report.seen import Seen
from ferjax.cli import tables
from ferjax.errors import UserError
from ferjax.evaluation import probabilities

# Confusion matrices stand side by side in pairs.
_PAIR = 2


@dataclasses.dataclass
class Section:
    """One section.

    `groups` have a title and tiles, pictures with words; `code` has titles, texts, and whether they
    are seen at once.
    """

    key: str
    title: str
    texts: list[str] = dataclasses.field(default_factory=list)
    figures: list[Figure] = dataclasses.field(default_factory=list)
    tables: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    groups: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    code: list[tuple[str, str, bool]] = dataclasses.field(default_factory=list)


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
        made += [
            features(seen, method),
            mistakes(seen),
            *([disagreements(seen)] if len(seen) > 1 else []),
            looked(seen),
            damaged(seen),
            data(seen),
        ]
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
    try:
        found = comparison.compare([one.finished for one in facts], view=facts[0].view)
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
    if not known:
        made.texts.append("The runs have no epochs: nothing was trained, or metrics.jsonl is gone.")
        return made
    selected = {one.name: one.result["selection"]["epoch"] for one in facts}
    made.texts.append(
        "Training accuracy is measured on augmented images while the weights still change. The "
        "point is the epoch that was selected."
    )
    made.figures.append(curves(known, selected))
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
    return made


def calibration(facts: Sequence[RunFacts]) -> Section:
    """Reliability diagrams."""
    made = Section("calibration", "Calibration")
    made.texts.append(
        "A model is calibrated if, of the predictions with probability p, a share p is right: then "
        "its points lie on the diagonal. Above it the model is too modest, below it too sure."
    )
    diagrams = {}
    for one in facts:
        mask = one.tested.groups[one.group]
        rows, labels = one.tested.probabilities[one.view][mask], one.tested.label[mask]
        shown = {"as predicted": rows}
        temperature = one.result.get("temperature", {}).get(one.view)
        if temperature is not None:
            shown[f"temperature {temperature:.2f}"] = probabilities.scaled(rows, temperature)
        diagrams[one.name] = shown, labels
    made.figures.append(reliability(diagrams))
    return made


def features(seen: dict[str, Seen], method: str) -> Section:
    """The features of the split that selected, in two dimensions, with the centres."""
    made = Section("features", "Features")
    flat, is_shared = plane.flatten([one.last_features() for one in seen.values()], method)
    points = {
        name: Points(images, one.selected.labels, centers)
        for (name, one), (images, centers) in zip(seen.items(), flat, strict=True)
    }
    first = next(iter(seen.values()))
    how = (
        "placed by t-SNE: neighbours are alike, and distances between far points mean nothing"
        if method == "tsne"
        else "on the two directions in which they differ most (principal components)"
    )
    made.texts.append(
        f"Every point is an image of the {first.facts.selected.split} split after the last epoch: "
        f"its features, what the last layer sees, {how}. Large marks are the learned centres of a "
        "center or island loss."
    )
    made.figures.append(embedding(points, first.trained.spec.labels, is_shared))
    return made


def mistakes(seen: dict[str, Seen]) -> Section:
    """Pictures of mistakes and doubts."""
    made = Section("mistakes", "Mistakes and doubts")
    for name, one in seen.items():
        prefix = f"{name}: " if len(seen) > 1 else ""
        made.groups.append({"title": f"{prefix}surest mistakes", "tiles": faces.mistakes(one)})
        made.groups.append({"title": f"{prefix}closest calls", "tiles": faces.doubts(one)})
        split = one.facts.selected.split
    made.texts.append(
        f"Images of the {split} split. Each has its label, then the two most probable classes. A "
        "surprising label may be the data's mistake, not the model's."
    )
    return made


def disagreements(seen: dict[str, Seen]) -> Section:
    """Images that one run gets right and another wrong."""
    made = Section("disagreements", "Where they disagree")
    (first_name, first), *others = seen.items()
    split = first.facts.selected.split
    made.texts.append(
        f"Images of the {split} split that one run gets right and the other wrong; the surest "
        "mistakes come first."
    )
    for name, other in others:
        if other.facts.selected.images != first.facts.selected.images:
            made.texts.append(f"{name} has another {split} split than {first_name}.")
            continue
        for right, wrong in ((first, other), (other, first)):
            title = f"{right.facts.name} right, {wrong.facts.name} wrong"
            made.groups.append({"title": title, "tiles": faces.disagreements(right, wrong)})
    return made


def looked(seen: dict[str, Seen]) -> Section:
    """Grad-CAM and the models' own attention."""
    made = Section("looked", "What it looks at")
    gated = {name: found for name, one in seen.items() if (found := one.gates())}
    if gated:
        first = next(iter(seen.values()))
        made.texts.append(
            "The gates of channels show how much of each channel a block lets through: lines that "
            "part are channels that tell classes apart."
        )
        made.figures.append(gates(gated, first.trained.spec.labels))
    made.texts.append(
        "Grad-CAM marks the places that speak most for the predicted class. The model's own maps "
        "are those inside its forward pass, stretched from their least to their greatest value."
    )
    for name, one in seen.items():
        found = faces.looked(one)
        made.texts.append(f"{name}: Grad-CAM of {found['layer']}.")
        for row in found["rows"]:
            prefix = f"{name}: " if len(seen) > 1 else ""
            made.groups.append({"title": prefix + row["title"], "tiles": row["tiles"]})
    return made


def damaged(seen: dict[str, Seen]) -> Section:
    """Accuracy on damaged images."""
    made = Section("robustness", "Robustness")
    first = next(iter(seen.values()))
    steps = {kind.name: ["none", *(f"{one:g}" for one in kind.strengths)] for kind in damage.KINDS}
    found = {name: one.robustness() for name, one in seen.items()}
    units = "; ".join(f"{kind.name}: {kind.unit}" for kind in damage.KINDS)
    made.texts.append(
        f"Accuracy on images of the {first.facts.selected.split} split (at most 700, the same for "
        f"all) that were damaged. Units: {units}."
    )
    made.figures.append(robustness(found, steps))
    header = ("run, damage", "none", "mild", "medium", "strong")
    rows = [
        (f"{name}, {kind}", *map(content.percent, values))
        for name, measured in found.items()
        for kind, values in measured.items()
    ]
    made.tables.append({"caption": "Accuracy on damaged images", "header": header, "rows": rows})
    return made


def data(seen: dict[str, Seen]) -> Section:
    """Samples and counts of the data."""
    made = Section("data", "Data")
    shown = {}
    for one in seen.values():
        key = one.facts.result["fingerprint"]
        if key not in shown:
            shown[key] = one
    for one in shown.values():
        title = f"Images of {one.facts.result['dataset']}"
        made.tables.append(content.counts(title, one.trained.spec.labels, one.counts()))
        made.groups += faces.samples(one)
    made.texts.append("Training images, as they are stored:")
    return made


def made_of(facts: Sequence[RunFacts]) -> Section:
    """How the runs were made, and how to repeat them."""
    made = Section("made", "How it was made")
    made.tables += [content.about(one) for one in facts]
    for one in facts:
        made.code.append((f"{one.name}: the command", repeat.command(one), True))
        made.code.append((f"{one.name}: all fields of its config", repeat.fields(one), False))
    return made
