"""Accuracy of a model on images that were made worse, by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure


def robustness(
    runs: Mapping[str, Mapping[str, Sequence[float]]],
    steps: Mapping[str, Sequence[str]],
    name: str = "robustness",
) -> Figure:
    """Draws a panel for each kind of damage.

    Args:
      runs: name of a run -> kind of damage -> accuracy, a fraction, without damage and at each
        strength.
      steps: kind of damage -> the strengths as texts, "none" first.
      name: names the files.
    """
    columns = 3
    rows = -(-len(steps) // columns)
    best = max(max(one) for measured in runs.values() for one in measured.values())
    top = 100 * max(1.08 * best, 0.01)
    with canvas.drawing(9.0, 2.5 * rows) as drawn:
        panels = drawn.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, (kind, texts) in zip(panels, steps.items(), strict=False):
            for at, (run, measured) in enumerate(runs.items()):
                axes.plot(
                    range(len(texts)),
                    [100 * share for share in measured[kind]],
                    canvas.LINES[at % len(canvas.LINES)],
                    marker=canvas.MARKERS[at % len(canvas.MARKERS)],
                    markersize=4.5,
                    color=canvas.COLORS[at % len(canvas.COLORS)],
                    label=canvas.legible(run),
                )
            axes.set_xticks(range(len(texts)), texts)
            axes.set_title(kind)
            axes.set_ylim(0, top)
        for axes in panels[len(steps) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel("accuracy, %")
        if len(runs) > 1:
            panels[0].legend(fontsize=8, loc="lower left")
        alt = (
            f"Accuracy of {', '.join(runs)} on damaged images: {', '.join(steps)}. The table below "
            "has the numbers."
        )
        return canvas.finished(name, alt, drawn)
