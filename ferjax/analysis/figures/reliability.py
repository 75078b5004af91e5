"""Reliability diagram: how often a prediction of some confidence is right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure
from ferjax.evaluation.probabilities import BINS

# A bin of fewer images has no point: its accuracy is chance.
_LEAST = 5


def reliability(
    probabilities: Mapping[str, Float[np.ndarray, "N K"]],
    labels: Int[np.ndarray, " N"],
    name: str = "reliability",
) -> Figure:
    """Draws accuracy against confidence in the bins of the expected calibration error.

    Args:
      probabilities: title -> probabilities of each image, such as before and after a temperature.
      labels: true classes.
      name: names the files.
    """
    with canvas.drawing(4.6, 4.2) as drawn:
        axes, below = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        axes.plot([0, 1], [0, 1], color=canvas.INK, linewidth=0.8, linestyle=":")
        for at, (title, rows) in enumerate(probabilities.items()):
            confidence = rows.max(axis=1)
            right = rows.argmax(axis=1) == labels
            bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
            counts = np.bincount(bins, minlength=BINS)
            shown = counts >= _LEAST
            mean = np.bincount(bins, confidence, BINS)[shown] / counts[shown]
            share = np.bincount(bins, right, BINS)[shown] / counts[shown]
            color = canvas.COLORS[at]
            axes.plot(
                mean, share, canvas.LINES[at], marker=canvas.MARKERS[at], color=color, label=title
            )
            below.step(
                np.linspace(0, 1, BINS + 1),
                np.append(counts, counts[-1]),
                where="post",
                linestyle=canvas.LINES[at],
                color=color,
            )
        axes.set_ylabel("share that is right")
        axes.legend(loc="upper left", fontsize=9)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        below.set_ylabel("images")
        below.set_xlabel("probability of the predicted class")
        alt = "Reliability diagram: the share of right predictions by their probability."
        return canvas.finished(name, alt, drawn)
