"""Learning curves: loss and accuracy of training and of the split that selects, by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.axes
from matplotlib.ticker import MaxNLocator

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure

# Series of a run: name of the quantity -> a value for each epoch, None where there is none.
Series = Mapping[str, Sequence[float | None]]


def curves(
    runs: Mapping[str, Series],
    selected: Mapping[str, int],
    splits: Mapping[str, str],
    name: str = "curves",
) -> Figure:
    """Draws loss and accuracy side by side.

    Args:
      runs: name of a run -> "loss" and "accuracy" of training, "selection_loss" and
        "selection_accuracy" of the split that selects, each with a value for every epoch.
      selected: the epoch that each run selected, from 1; 0 if it made none.
      splits: the split that each run selected it on.
      name: names the files.
    """
    with canvas.drawing(9.0, 3.7) as drawn:
        left, right = drawn.subplots(1, 2)
        _panel(left, runs, selected, splits, "loss", 1.0)
        _panel(right, runs, selected, splits, "accuracy", 100.0)
        left.set_title("Cross-entropy")
        right.set_title("Accuracy, %")
        handles, names = left.get_legend_handles_labels()
        drawn.legend(handles, names, loc="outside lower center", fontsize=9, ncols=4)
        best = "; ".join(
            f"{run} selected epoch {selected[run]}" for run in runs if selected.get(run)
        )
        alt = f"Learning curves, cross-entropy and accuracy by epoch, of {', '.join(runs)}. {best}"
        return canvas.finished(name, alt, drawn)


def _panel(
    axes: matplotlib.axes.Axes,
    runs: Mapping[str, Series],
    selected: Mapping[str, int],
    splits: Mapping[str, str],
    quantity: str,
    factor: float,
) -> None:
    for at, (run, series) in enumerate(runs.items()):
        color = canvas.COLORS[at % len(canvas.COLORS)]
        prefix = f"{canvas.legible(run)}, " if len(runs) > 1 else ""
        for kind, line, said in (
            (quantity, "--", "training"),
            (f"selection_{quantity}", "-", splits[run]),
        ):
            values = series.get(kind, ())
            points = [(x, factor * y) for x, y in enumerate(values, start=1) if y is not None]
            if not points:
                continue
            epochs, heights = zip(*points, strict=True)
            marker = "o" if len(points) == 1 else None
            axes.plot(epochs, heights, line, color=color, label=f"{prefix}{said}", marker=marker)
            chosen = dict(points).get(selected.get(run, 0))
            if kind.startswith("selection") and chosen is not None:
                axes.plot([selected[run]], [chosen], "o", color=color, markersize=7, zorder=3)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
