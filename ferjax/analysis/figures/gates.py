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
    with canvas.drawing(4.6 * columns + 1.0, 1.0 + 0.27 * len(labels) * len(runs)) as drawn:
        grid = drawn.subplots(len(runs), columns, sharey=True, squeeze=False)
        shown = None
        for row, (run, layers) in zip(grid, runs.items(), strict=True):
            for axes in row[len(layers) :]:
                axes.set_visible(False)
            for axes, (layer, values) in zip(row, layers.items(), strict=False):
                order = np.argsort(-np.nanmean(values, axis=0), kind="stable")
                shown = axes.imshow(
                    values[:, order],
                    cmap="viridis",
                    vmin=0,
                    vmax=1,
                    aspect="auto",
                    interpolation="nearest",
                    extent=(0.5, len(order) + 0.5, len(labels) - 0.5, -0.5),
                )
                axes.grid(False)
                axes.set_yticks(range(len(labels)), labels)
                axes.set_title(f"{run}: {layer}")
        for axes in grid[-1]:
            axes.set_xlabel("channels, by their mean gate")
        bar = drawn.colorbar(shown, ax=grid, label="mean gate", fraction=0.03, pad=0.01)
        bar.outline.set_visible(False)
        alt = f"Mean gate of every channel for each class, of {', '.join(runs)}."
        return canvas.finished(name, alt, drawn)
