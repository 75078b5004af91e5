"""The tables of a model card, in Markdown, and how figures are written in it.

Rates are fractions in [0, 1] and are written in percent; scores are metrics[view][group] of
`evaluation.described`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ferjax.errors import one_line
from ferjax.metrics import wilson


def scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy, macro-F1 and top-2 accuracy of each view and group, with their intervals."""
    rows = [
        [
            f"`{view}`",
            f"`{group}`",
            f"{found['num_examples']:,}",
            rate(found, "accuracy"),
            rate(found, "macro_f1"),
            rate(found, "top2_accuracy"),
        ]
        for view, groups in scores.items()
        for group, found in groups.items()
    ]
    head = ["view", "images of", "images", "accuracy", "macro-F1", "true class among the first two"]
    return table(head, rows)


def classes(labels: Sequence[str], metrics: Mapping[str, Any]) -> str:
    """Recall, precision and F1 of each class, and for what it is mostly taken if not for itself."""
    rows = []
    for at, label in enumerate(labels):
        counts = metrics["confusion"][at]
        total, predicted = sum(counts), sum(row[at] for row in metrics["confusion"])
        others = [0 if other == at else count for other, count in enumerate(counts)]
        most = max(range(len(labels)), key=others.__getitem__)
        taken = f"{plain(labels[most])} ({percent(others[most] / total)})" if max(others) else "-"
        rows.append(
            [
                plain(label),
                f"{total:,}",
                f"{percent(counts[at] / total)} ({ends(counts[at], total)})" if total else "-",
                f"{percent(counts[at] / predicted)} ({ends(counts[at], predicted)})"
                if predicted
                else "-",
                percent(metrics["per_class_f1"][at]) if total else "-",
                taken,
            ]
        )
    return table(["class", "images", "recall", "precision", "F1", "else mostly taken for"], rows)


def parts(parts: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy on parts of the images."""
    rows = [
        [
            one["name"],
            f"{one['images']:,}",
            percent(one["hits"] / one["images"]) if one["images"] else "-",
            ends(one["hits"], one["images"]) if one["images"] else "-",
        ]
        for one in parts
    ]
    return table(["images", "number", "accuracy", "95 % interval"], rows)


def damage(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy on images made worse in several ways."""
    rows = []
    for name, one in found.items():
        whole, *worse = map(percent, one["accuracy"])
        strengths = [f"{share:g}" for share in one["strengths"]]
        cells = [
            f"{accuracy} ({strength})" for accuracy, strength in zip(worse, strengths, strict=True)
        ]
        rows.append([name, one["unit"], whole, *cells])
    return table(["made worse by", "strength", "not at all", "little", "more", "much"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def rate(metrics: Mapping[str, Any], name: str) -> str:
    """A rate with its interval."""
    low, high = metrics["intervals"][name]
    return f"{percent(metrics[name])} ({percent(low)} to {percent(high)})"


def ends(hits: int, total: int) -> str:
    """Wilson's 95 % interval of a rate."""
    return " to ".join(map(percent, wilson(hits, total)))


def percent(fraction: float) -> str:
    """A fraction in percent, without its sign."""
    return f"{100 * fraction:.1f}"


def plain(text: str) -> str:
    """A text of a user's data in a line, in which nothing is markup."""
    return "".join(f"\\{one}" if one in "\\`*_{}[]<>|#" else one for one in one_line(text))


def code(text: str) -> str:
    """A name as code, in which nothing is markup."""
    shown = one_line(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"
