"""The text of a model card, in Markdown.

Sections as in Mitchell et al., "Model cards for model reporting" (FAT* 2019), section 4.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2

from ferjax.data import catalog
from ferjax.errors import one_line
from ferjax.metrics import wilson

_CLASSES_BELOW = 0.6  # of a recall that is told in a sentence
# What is told of the network besides its name; the rest is in the file of figures.
_NOT_TOLD = ("name", "num_classes", "channels", "image_size", "dtype", "batch_stats", "remat")
_RARE_DTYPES = {"bfloat16": "bfloat16 (running statistics in float32)"}


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
    split = figures["predictions"]["split"]
    name, scores = figures["data"]["dataset"], figures["scores"]
    single = scores["single"][split]
    return template.render(
        figures={**figures, "remark": _plain(figures["remark"])},
        stem=_plain(stem),
        name=_plain(stem),
        labels=list(map(_plain, figures["labels"])),
        optimistic=figures["protocol"] != "honest",
        tested=f"{single['num_examples']:,}",
        single=_rate(single, "accuracy"),
        flip=_rate(scores["flip"][split], "accuracy"),
        versions=", ".join(f"{one} {version}" for one, version in _versions(figures)),
        network=_network(figures["model"]),
        input=_input(figures["input"]),
        framing=_framing(figures["input"]["framing"]),
        training=_training(figures),
        title=catalog.find(name).title,
        about=about_data()[name],
        options=_options(figures["data"]["options"]),
        counts=_counts(figures["data"]["examples"]),
        clean=_clean(scores, split),
        protocol=_protocol(figures),
        calibration=_calibration(figures, split),
        weakest=_weakest(figures["labels"], single),
        tables={
            "scores": _scores(scores),
            "classes": _classes(figures["labels"], single),
            "parts": _parts(figures["parts"]),
            "damage": _damage(figures["damage"]),
        },
    )


def _plain(text: str) -> str:
    """A text of a user's data in a line, in which nothing is markup."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>|#" else one for one in one_line(text))


def _versions(figures: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return figures["measured"]["versions"].items()


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
        f"In {framing['found']} of {framing['images']} of them the detector found one: the middle "
        f"of the eyes lies at {x} of the width and {y} of the height, and the eyes are {distance} "
        "of the width apart. `ferjax.predict` crops the faces of a photograph likewise."
    )


def _training(figures: Mapping[str, Any]) -> str:
    found = figures["training"]
    machine, selection = found["machine"], found["selection"]
    count = machine["num_devices"]
    devices = f"{count} devices" if count > 1 else "one device"
    departures = "; ".join(map(_plain, found["departures"]))
    return (
        f"by `ferjax.main` with the config of {found['paper']}"
        + (f" and departures from the paper ({departures})" if departures else "")
        + f". Epoch {selection['epoch']} of {found['epochs']} was selected on the "
        f"{selection['split']} split. Seed {found['seed']}, on {devices} of the kind "
        f"{_plain(machine['device'])}, ended {found['finished'][:10]}."
    )


def _options(options: Mapping[str, Any]) -> str:
    given = ", ".join(f"{key}={value}" for key, value in options.items())
    return f" ({_plain(given)})" if given else ""


def _counts(examples: Mapping[str, int]) -> str:
    names = {"train": "trained it", "validation": "selected its epoch", "test": "test"}
    return ", ".join(
        f"{examples[split]:,} images {said}"
        for split, said in names.items()
        if split != "test" and examples.get(split)
    )


def _clean(scores: Mapping[str, Any], split: str) -> str:
    clean = scores["single"].get(f"{split}_clean")
    if clean is None:
        return ""
    return (
        f"; `{split}_clean` are the {clean['num_examples']:,} of them whose pixels are neither in "
        "the other splits nor twice in this one"
    )


def _protocol(figures: Mapping[str, Any]) -> str:
    if figures["protocol"] != "honest":
        return f"{_plain(figures['remark'])}."
    split = figures["training"]["selection"]["split"]
    return f"The epoch was selected on the {split} split; nothing was fitted on these images."


def _calibration(figures: Mapping[str, Any], split: str) -> str:
    rows, is_fair = [], figures["protocol"] == "honest"
    for view, groups in figures["scores"].items():
        found = groups[split]
        after = found.get("calibrated")
        scaled = ["-", "-"]
        if after is not None:
            scaled = [_percent(after["calibration_error"]), f"{after['loss']:.3f}"]
        given = [_percent(found["calibration_error"]), f"{found['loss']:.3f}"]
        rows.append([f"`{view}`", *given, f"{figures['temperature'][view]:.2f}", *scaled])
    head = ["view", "ECE", "loss", "temperature", "ECE after it", "loss after it"]
    fitted = "fitted on the split that selected the epoch" if is_fair else "fitted on these images"
    return (
        f"{_table(head, rows)}\n\nThe probabilities that the model gives are as they are; the "
        f"temperature, {fitted}, divides their logarithms. " + _confidence(figures)
    )


def _confidence(figures: Mapping[str, Any]) -> str:
    temperature = figures["temperature"]["single"]
    if abs(temperature - 1) < 0.05:
        return "One near 1 means that they need none."
    if temperature < 1:
        return "One below 1 means that the model is right more often than it says."
    return "One above 1 means that the model is right less often than it says."


def _weakest(labels: Sequence[str], metrics: Mapping[str, Any]) -> str:
    found = sorted(zip(metrics["per_class_recall"], labels, metrics["confusion"], strict=True))
    told = [
        f"{_plain(label)} ({_percent(recall)} %)"
        for recall, label, row in found
        if sum(row) and recall < _CLASSES_BELOW
    ]
    return (
        "Of these classes it misses more than four in ten: " + ", ".join(told) + "."
        if told
        else "Of each class that was tested it finds at least six in ten."
    )


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [
            f"`{view}`",
            f"`{group}`",
            f"{found['num_examples']:,}",
            _rate(found, "accuracy"),
            _rate(found, "macro_f1"),
            _rate(found, "top2_accuracy"),
        ]
        for view, groups in scores.items()
        for group, found in groups.items()
    ]
    head = ["view", "images of", "images", "accuracy", "macro-F1", "true class among the first two"]
    return _table(head, rows)


def _classes(labels: Sequence[str], metrics: Mapping[str, Any]) -> str:
    rows = []
    for at, label in enumerate(labels):
        counts = metrics["confusion"][at]
        total, predicted = sum(counts), sum(row[at] for row in metrics["confusion"])
        others = [0 if other == at else count for other, count in enumerate(counts)]
        most = max(range(len(labels)), key=others.__getitem__)
        taken = f"{_plain(labels[most])} ({_percent(others[most] / total)})" if max(others) else "-"
        rows.append(
            [
                _plain(label),
                f"{total:,}",
                f"{_percent(counts[at] / total)} ({_ends(counts[at], total)})" if total else "-",
                _percent(metrics["per_class_precision"][at]) if predicted else "-",
                _percent(metrics["per_class_f1"][at]) if total else "-",
                taken,
            ]
        )
    return _table(["class", "images", "recall", "precision", "F1", "else mostly taken for"], rows)


def _parts(parts: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            one["name"],
            f"{one['images']:,}",
            _percent(one["hits"] / one["images"]) if one["images"] else "-",
            _ends(one["hits"], one["images"]) if one["images"] else "-",
        ]
        for one in parts
    ]
    return _table(["images", "number", "accuracy", "95 % interval"], rows)


def _damage(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, one in found.items():
        whole, *worse = map(_percent, one["accuracy"])
        strengths = [f"{share:g}" for share in one["strengths"]]
        cells = [
            f"{accuracy} ({strength})" for accuracy, strength in zip(worse, strengths, strict=True)
        ]
        rows.append([name, one["unit"], whole, *cells])
    return _table(["made worse by", "strength in", "not at all", "little", "more", "much"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _rate(metrics: Mapping[str, Any], name: str) -> str:
    low, high = metrics["intervals"][name]
    return f"{_percent(metrics[name])} ({_percent(low)} to {_percent(high)})"


def _ends(hits: int, total: int) -> str:
    return " to ".join(map(_percent, wilson(hits, total)))


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
