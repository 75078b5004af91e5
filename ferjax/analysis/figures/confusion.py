"""Confusion matrices in row percent, one or two side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.axes
import numpy as np
from jaxtyping import Int

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure

_MAP = "Blues"
_HIGHEST = 0.55  # of the colour map, so that dark numbers can be read on it
_NUMBERS = "#10151c"
_MOST_NUMBERED = 20  # classes of a matrix whose cells have room for numbers


def confusion(
    matrices: Mapping[str, Int[np.ndarray, "K K"]],
    labels: Sequence[str],
    name: str = "confusion",
) -> Figure:
    """Draws each matrix with its share of the true class in % and its count, if there is room.

    Args:
      matrices: title -> counts; rows are true classes.
      labels: names of the K classes.
      name: names the files.
    """
    number = len(labels)
    side = max(4.0, (0.62 if number <= _MOST_NUMBERED else 0.2) * number + 1.4)
    with canvas.drawing(side * len(matrices), side) as drawn:
        panels = np.atleast_1d(drawn.subplots(1, len(matrices)))
        for axes, (title, counts) in zip(panels, matrices.items(), strict=True):
            _panel(axes, counts, labels)
            axes.set_title(canvas.legible(title))
        worst = [f"{title}: {_said(counts, labels)}" for title, counts in matrices.items()]
        alt = f"Confusion matrix of {number} classes. {' '.join(worst)}"
        return canvas.finished(name, alt, drawn)


def _panel(
    axes: matplotlib.axes.Axes, counts: Int[np.ndarray, "K K"], labels: Sequence[str]
) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares * _HIGHEST, cmap=_MAP, vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(*counts.shape):
        if not totals[row, 0] or len(labels) > _MOST_NUMBERED:
            continue
        axes.text(
            column,
            row,
            f"{100 * shares[row, column]:.0f} %\n{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=7.5,
            color=_NUMBERS,
        )
    ticks, names = range(len(labels)), [canvas.legible(label) for label in labels]
    axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.grid(False)


def _said(counts: Int[np.ndarray, "K K"], labels: Sequence[str]) -> str:
    """The class that is recognised best, and the one that is worst."""
    totals = counts.sum(axis=1)
    present = np.flatnonzero(totals)
    if not len(present):
        return "no images."
    recall = np.diag(counts)[present] / totals[present]
    best, worst = present[recall.argmax()], present[recall.argmin()]
    return (
        f"best {labels[best]}, {100 * recall.max():.0f} %; "
        f"worst {labels[worst]}, {100 * recall.min():.0f} %."
    )
