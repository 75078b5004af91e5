"""Reliability diagram: how often a prediction of some confidence is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.axes
import numpy as np
from jaxtyping import Float, Int

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure
from ferjax.evaluation.probabilities import BINS

# A bin of fewer images has no point: its accuracy is chance.
_LEAST = 5


def reliability(
    runs: Mapping[str, tuple[Mapping[str, Float[np.ndarray, "N K"]], Int[np.ndarray, " N"]]],
    name: str = "reliability",
) -> Figure:
    """Draws accuracy against confidence in the bins of the expected calibration error.

    Args:
      runs: name of a run -> probabilities of each image by title, such as before and after a
        temperature, and the true classes.
      name: names the files.
    """
    with canvas.drawing(4.2 * len(runs), 4.0) as drawn:
        grid = drawn.subplots(
            2, len(runs), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
        )
        for column, (run, (probabilities, labels)) in enumerate(runs.items()):
            _panel(grid[0, column], grid[1, column], probabilities, labels)
            grid[0, column].set_title(canvas.legible(run))
            grid[1, column].set_xlabel("probability of the predicted class")
        grid[0, 0].set_ylabel("share that is right")
        grid[1, 0].set_ylabel("images")
        grid[0, 0].set_xlim(0, 1)
        grid[0, 0].set_ylim(0, 1)
        alt = f"Reliability diagram of {', '.join(runs)}: the share of right predictions by their "
        return canvas.finished(name, f"{alt}probability.", drawn)


def _panel(
    axes: matplotlib.axes.Axes,
    below: matplotlib.axes.Axes,
    probabilities: Mapping[str, Float[np.ndarray, "N K"]],
    labels: Int[np.ndarray, " N"],
) -> None:
    axes.plot([0, 1], [0, 1], color=canvas.INK, linewidth=0.8, linestyle=":")
    for at, (title, rows) in enumerate(probabilities.items()):
        confidence = rows.max(axis=1)
        right = rows.argmax(axis=1) == labels
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        counts = np.bincount(bins, minlength=BINS)
        shown = counts >= _LEAST
        mean = np.bincount(bins, confidence, BINS)[shown] / counts[shown]
        share = np.bincount(bins, right, BINS)[shown] / counts[shown]
        look: Any = {"linestyle": canvas.LINES[at], "color": canvas.COLORS[at]}
        axes.plot(mean, share, marker=canvas.MARKERS[at], label=title, **look)
        edges = np.linspace(0, 1, BINS + 1)
        below.step(edges, np.append(counts, counts[-1]), where="post", **look)
    axes.legend(loc="upper left", fontsize=9)
