"""The sections of a report for which models are shown images."""

from __future__ import annotations

from collections.abc import Callable

from ferjax.analysis import damage, plane
from ferjax.analysis.figures.embedding import Points, embedding
from ferjax.analysis.figures.gates import gates
from ferjax.analysis.figures.robustness import robustness
from ferjax.analysis.report import content, faces
from ferjax.analysis.report.section import Section
from ferjax.analysis.report.seen import Seen
from ferjax.errors import UserError


def all_of(seen: dict[str, Seen], method: str) -> list[Section]:
    """All sections, in their order; one that fails says why, and takes no other with it."""
    parts: list[tuple[str, str, Callable[[], Section]]] = [
        ("features", "Features", lambda: features(seen, method)),
        ("mistakes", "Mistakes and doubts", lambda: mistakes(seen)),
        ("disagreements", "Where they disagree", lambda: disagreements(seen)),
        ("looked", "What it looks at", lambda: looked(seen)),
        ("robustness", "Robustness", lambda: damaged(seen)),
        ("data", "Data", lambda: data(seen)),
    ]
    made = []
    for key, title, make in parts:
        if key == "disagreements" and len(seen) < 2:
            continue
        try:
            made.append(make())
        except UserError as error:
            made.append(Section(key, title, [f"This part is missing: {error}"]))
    return made


def features(seen: dict[str, Seen], method: str) -> Section:
    """The features of the split that selected, in two dimensions, with the centres."""
    made = Section("features", "Features")
    found = {name: one.last_features() for name, one in seen.items()}
    deep = [(one.images, one.centers) for one in found.values()]
    flat, is_shared = plane.flatten(deep, method)
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
        f"Every point is an image of the {first.facts.selected.split} split: its features, what "
        f"the last layer sees, {how}. Large marks are the learned centres of a center or island "
        "loss."
    )
    when = {"last": "after the last epoch", "best": "at the selected epoch, without centres"}
    made.texts += [f"{name}: {when[one.checkpoint]}." for name, one in found.items()]
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
    first, *_ = seen.values()
    gated = {name: found for name, one in seen.items() if (found := one.gates())}
    if gated:
        made.texts.append(
            "The gates of channels show how much of each channel a block lets through. A channel "
            "whose gate differs from class to class helps to tell them apart."
        )
        made.figures.append(gates(gated, first.trained.spec.labels))
    made.texts.append(
        "Grad-CAM marks the places that speak most for the predicted class. The model's own maps "
        "are those inside its forward pass, stretched from their least to their greatest value."
    )
    shared = faces.one_of_each(first)
    for name, one in seen.items():
        made.texts.append(
            f"{name}: Grad-CAM of {one.saliency.layer}."
            if one.saliency.layer
            else f"{name} has no Grad-CAM: it averages two classifiers and passes no gradient on. "
            "A page can be made of each of its trunks."
        )
        is_same = one.facts.selected.images == first.facts.selected.images
        prefix = f"{name}: " if len(seen) > 1 else ""
        for row in faces.looked(one, shared if is_same else faces.one_of_each(one)):
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
        f"Accuracy on images of the {first.facts.selected.split} split, at most {damage.MOST}, "
        f"that were damaged. Units: {units}."
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
    shown: dict[tuple[str, str], Seen] = {}
    for one in seen.values():
        result = one.facts.result
        options = ", ".join(f"{name}={value}" for name, value in result["options"].items())
        title = f"Images of {result['dataset']}" + (f" ({options})" if options else "")
        shown.setdefault((result["fingerprint"], title), one)
    for (_, title), one in shown.items():
        made.tables.append(content.counts(title, one.trained.spec.labels, one.counts()))
        prefix = f"{title}: " if len(shown) > 1 else ""
        for group in faces.samples(one):
            made.groups.append({**group, "title": prefix + group["title"]})
    made.texts.append("Images of each class and, below, some of training as they are stored.")
    return made
