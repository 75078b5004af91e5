"""Gates of channels by class: which channels a model turns up for which expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure


def gates(
    runs: Mapping[str, Mapping[str, Float[np.ndarray, "K _"]]],
    labels: Sequence[str],
    name: str = "gates",
) -> Figure:
    """Draws the mean gate of each channel over the images of each class (Hu et al. 2018, fig. 5).

    Args:
      runs: name of a run -> layer -> mean gates; NaN for a class without images.
      labels: names of the K classes.
      name: names the files.
    """
    columns = max(map(len, runs.values()))
    with canvas.drawing(4.6 * columns + 1.2, 2.9 * len(runs)) as drawn:
        grid = drawn.subplots(len(runs), columns, sharey=True, squeeze=False)
        for row, (run, layers) in enumerate(runs.items()):
            for axes in grid[row, len(layers) :]:
                axes.set_visible(False)
            for axes, (layer, values) in zip(grid[row], layers.items(), strict=False):
                order = np.argsort(-np.nanmean(values, axis=0), kind="stable")
                for at, label in enumerate(labels):
                    if not np.isnan(values[at]).any():
                        axes.plot(
                            np.arange(1, len(order) + 1),
                            values[at, order],
                            color=canvas.COLORS[at % len(canvas.COLORS)],
                            linestyle=canvas.LINES[at % len(canvas.LINES)],
                            linewidth=1.2,
                            label=label,
                        )
                axes.set_ylim(0, 1)
                axes.set_title(f"{run}: {layer}")
            grid[row, 0].set_ylabel("mean gate")
        for axes in grid[-1]:
            axes.set_xlabel("channels, in the order of their mean")
        handles, names = grid[0, 0].get_legend_handles_labels()
        drawn.legend(handles, names, loc="outside right upper", fontsize=9)
        alt = f"Mean gate of every channel for each class, of {', '.join(runs)}."
        return canvas.finished(name, alt, drawn)
