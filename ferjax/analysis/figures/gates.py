"""Gates of channels by class: which channels a model turns up for which expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure

_SCALE = ScalarMappable(Normalize(0.0, 1.0), "viridis")


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
        for row, (run, layers) in zip(grid, runs.items(), strict=True):
            for axes in row[len(layers) :]:
                axes.set_visible(False)
            for axes, (layer, values) in zip(row, layers.items(), strict=False):
                order = np.argsort(-np.nanmean(values, axis=0), kind="stable")
                axes.imshow(
                    values[:, order],
                    cmap=_SCALE.cmap,
                    norm=_SCALE.norm,
                    aspect="auto",
                    interpolation="nearest",
                    extent=(0.5, len(order) + 0.5, len(labels) - 0.5, -0.5),
                )
                axes.grid(False)
                axes.set_yticks(range(len(labels)), [canvas.legible(label) for label in labels])
                axes.set_title(f"{canvas.legible(run)}: {layer}")
        for axes in grid[-1]:
            axes.set_xlabel("channels, by their mean gate")
        bar = drawn.colorbar(_SCALE, ax=grid, label="mean gate", fraction=0.03, pad=0.01)
        bar.outline.set_visible(False)
        alt = f"Mean gate of every channel for each class, of {', '.join(runs)}."
        return canvas.finished(name, alt, drawn)
