"""The text of a model card, in Markdown.

Sections as in Mitchell et al., "Model cards for model reporting" (FAT* 2019), section 4.
"""

from __future__ import annotations

import functools
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2

from ferjax.analysis.card import tables
from ferjax.data import catalog
from ferjax.metrics import wilson

_WIDTH = 100
_CLASSES_BELOW = 0.6  # of a recall that is told in a sentence
# What is told of the network besides its name; the rest is in the file of figures.
_NOT_TOLD = ("name", "num_classes", "channels", "image_size", "dtype", "batch_stats", "remat")


@functools.cache
def about_data() -> dict[str, dict[str, str]]:
    """What a card says of each data set of the catalog: shows, labels, people and licence."""
    return tomllib.loads((resources.files(__package__) / "data.toml").read_text("utf-8"))


def markdown(stem: str, figures: Mapping[str, Any]) -> str:
    """The card.

    Args:
      stem: the name of the model.
      figures: see `figures.measure`.
    """
    environment = jinja2.Environment(
        autoescape=False, undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    template = environment.from_string(
        (resources.files(__package__) / "card.md").read_text("utf-8")
    )
    split, found = figures["predictions"]["split"], figures["measured"]
    name, scores = figures["data"]["dataset"], figures["scores"]
    single = scores["single"][split]
    made = template.render(
        figures={**figures, "remark": tables.plain(figures["remark"])},
        file=tables.code(f"{stem}.json"),
        weights=tables.code(figures["file"]["name"]),
        name=tables.plain(stem),
        labels=list(map(tables.plain, figures["labels"])),
        optimistic=figures["protocol"] != "honest",
        tested=f"{single['num_examples']:,}",
        headline=_headline(scores, split),
        rendered=catalog.find(name).is_made,
        ferjax=tables.plain(found["versions"]["ferjax"]),
        training_classes=_training_classes(figures["labels"], figures["data"]["classes"]),
        damage_ends=f"{50 * _width(figures['damaged']):.0f}",
        versions=", ".join(f"{one} {version}" for one, version in found["versions"].items()),
        network=_network(figures["model"]),
        input=_input(figures["input"]),
        framing=_framing(figures["input"]["framing"]),
        training=_training(figures),
        title=catalog.find(name).title,
        about=about_data()[name],
        options=_options(figures["data"]["options"]),
        counts=_counts(figures),
        origins=_origins(figures["training"]["started_from"], name),
        clean=_clean(scores, split),
        protocol=_protocol(figures),
        calibration=_calibration(figures, split),
        weakest=_weakest(figures["labels"], single),
        tables={
            "scores": tables.scores(scores),
            "classes": tables.classes(figures["labels"], single),
            "parts": tables.parts(figures["parts"]),
            "damage": tables.damage(figures["damage"]),
        },
    )
    return _wrapped(made)


def _headline(scores: Mapping[str, Any], split: str) -> str:
    """What the model reaches, first on the images that are in no other split."""
    whole, clean = scores["single"][split], scores["single"].get(f"{split}_clean")
    flip = f"`flip`: {tables.percent(scores['flip'][split]['accuracy'])}"
    told = f"of {tables.rate(whole, 'accuracy')} % ({flip})"
    if clean is None:
        return f"On {whole['num_examples']:,} test images it agrees with the label {told}."
    left = whole["num_examples"] - clean["num_examples"]
    twice = f", {left:,} of which are in another split too, or twice in this one" if left else ""
    if not left:
        return (
            f"On {whole['num_examples']:,} test images, none of which is in another split, it "
            f"agrees with the label {told}."
        )
    cleanly = f"`flip`: {tables.percent(scores['flip'][f'{split}_clean']['accuracy'])}"
    return (
        f"On the {clean['num_examples']:,} test images that are in no other split it agrees with "
        f"the label of {tables.rate(clean, 'accuracy')} % ({cleanly}); on the whole test split as "
        f"it is published ({whole['num_examples']:,} images{twice}), {told}."
    )


def _training_classes(labels: Sequence[str], counts: Sequence[int]) -> str:
    return ", ".join(
        f"{tables.plain(label)} {count:,}" for label, count in zip(labels, counts, strict=True)
    )


def _width(number: int) -> float:
    """The widest 95 % interval of a rate of so many images."""
    low, high = wilson(number // 2, number)
    return high - low


def _network(model: Mapping[str, Any]) -> str:
    told = {key: value for key, value in model.items() if key not in (*_NOT_TOLD, "parameters")}
    options = ", ".join(f"{key}={value}" for key, value in told.items())
    return f"`{model['name']}`" + (f" with `{options}`" if options else "")


def _input(found: Mapping[str, Any]) -> str:
    height, width, channels = found["shape"]
    colour = "grey" if channels == 1 else "red, green and blue"
    return f"crops of faces, {width}x{height} pixels, {colour}; others are resized and converted"


def _framing(framing: Mapping[str, Any] | None) -> str:
    if framing is None:
        return "Where the eyes lie in them is not known, so it takes crops alone, no photographs."
    x, y, distance = (f"{100 * framing[name]:.0f} %" for name in ("x", "y", "distance"))
    return (
        f"In {framing['found']} of {framing['images']} of them the detector found a face: the "
        f"middle of the eyes lies at {x} of the width and {y} of the height, and the eyes are "
        f"{distance} of the width apart. `ferjax.predict` crops the faces of a photograph likewise."
    )


def _training(figures: Mapping[str, Any]) -> str:
    found = figures["training"]
    machine, selection = found["machine"], found["selection"]
    count = machine["num_devices"]
    devices = f"{count} devices" if count > 1 else "one device"
    departures = "; ".join(map(tables.plain, found["departures"]))
    chosen = (
        f"Epoch {selection['epoch']} of {found['epochs']} was selected on the "
        f"{selection['split']} split."
        if selection["epoch"]
        else "It trains nothing of its own."
    )
    return (
        f"by `ferjax.main` with the config of {found['paper']}"
        + (f" and departures from the paper ({departures})" if departures else "")
        + f". {chosen} Seed {found['seed']}, on {devices} of the kind "
        f"{tables.plain(machine['device'])}, ended {found['finished'][:10]}."
    )


def _options(options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f" ({tables.plain(given)})" if given else ""


def _counts(figures: Mapping[str, Any]) -> str:
    examples = figures["data"]["examples"]
    selection = figures["training"]["selection"]["split"]
    number = sum(examples[split] for split in selection.split("+"))
    return (
        f"{examples['train']:,} images trained it, {number:,} images of the {selection} split "
        "selected its epoch"
    )


def _origins(origins: Sequence[Mapping[str, Any]], own: str) -> str:
    """What the first weights were, and whose terms they have, if they are not those of `own`."""
    told = []
    for origin in origins:
        name, data = tables.code(origin["weights"]), origin.get("dataset")
        if data in about_data():
            one = f"the run {name}, trained on {catalog.find(data).title}"
            one += "" if data == own else f" (licence: {about_data()[data]['licence']})"
        else:
            checksum = f", SHA-256 `{origin['sha256']}`" if "sha256" in origin else ""
            one = f"the file {name}{checksum}, whose terms are for you to look up"
        before = _origins(origin["started_from"], own)
        told.append(f"{one}; which started from {before}" if before else one)
    return ", and ".join(told)


def _clean(scores: Mapping[str, Any], split: str) -> str:
    clean = scores["single"].get(f"{split}_clean")
    if clean is None:
        return ""
    return (
        f"; `{split}_clean` are the {clean['num_examples']:,} of them whose pixels are neither in "
        "the other splits nor a second time in this one"
    )


def _protocol(figures: Mapping[str, Any]) -> str:
    if figures["protocol"] != "honest":
        return f"{tables.plain(figures['remark'])}."
    split = figures["training"]["selection"]["split"]
    found = figures["training"]["selection"]
    accuracy = f"{tables.percent(found['accuracy'])} % in the view `{found['view']}`"
    return (
        f"The epoch was selected on the {split} split, where its accuracy was {accuracy}. Nothing "
        "was fitted on these images."
    )


def _calibration(figures: Mapping[str, Any], split: str) -> str:
    rows, is_fair = [], figures["protocol"] == "honest"
    for view, groups in figures["scores"].items():
        found = groups[split]
        after = found.get("calibrated")
        scaled = ["-", "-"]
        if after is not None:
            scaled = [tables.percent(after["calibration_error"]), f"{after['loss']:.3f}"]
        given = [tables.percent(found["calibration_error"]), f"{found['loss']:.3f}"]
        rows.append([f"`{view}`", *given, f"{figures['temperature'][view]:.2f}", *scaled])
    head = ["view", "ECE", "loss", "temperature", "ECE after it", "loss after it"]
    fitted = "fitted on the split that selected the epoch" if is_fair else "fitted on these images"
    return (
        f"{tables.table(head, rows)}\n\nThe model gives its probabilities without the "
        f"temperature, which divides their logarithms and was {fitted}, by the least loss. "
        + _confidence(figures)
    )


def _confidence(figures: Mapping[str, Any]) -> str:
    temperature = figures["temperature"]["single"]
    if abs(temperature - 1) < 0.05:
        return "That of `single` is near 1: it changes little."
    if temperature < 1:
        return "That of `single` is below 1: there, the model is right more often than it says."
    return "That of `single` is above 1: there, the model is right less often than it says."


def _weakest(labels: Sequence[str], metrics: Mapping[str, Any]) -> str:
    found = sorted(zip(metrics["per_class_recall"], labels, metrics["confusion"], strict=True))
    told = [
        f"{tables.plain(label)} ({tables.percent(recall)} %)"
        for recall, label, row in found
        if sum(row) and recall < _CLASSES_BELOW
    ]
    return (
        "It finds less than six in ten of " + ", ".join(told) + "."
        if told
        else "Of each class that was tested it finds at least six in ten."
    )


def _wrapped(text: str) -> str:
    """Lines of prose of at most `_WIDTH` characters; tables, titles and code stay as they are."""
    made, in_code = [], False
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        if in_code or line.startswith(("|", "#", "```")) or not line:
            made.append(line)
        elif made and made[-1] and _goes_on(made[-1], line):
            made[-1] += " " + line.strip()
        else:
            made.append(line)
    return "\n".join(_folded(line) for line in made) + "\n"


def _goes_on(last: str, line: str) -> bool:
    """Whether a line is part of the paragraph of the last one."""
    return not last.startswith(("|", "#", "```")) and not line.startswith("- ")


def _folded(line: str) -> str:
    if line.startswith(("|", "#", "python ")):
        return line
    return textwrap.fill(
        line,
        _WIDTH,
        subsequent_indent="  " if line.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
