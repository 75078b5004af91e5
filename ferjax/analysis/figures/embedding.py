"""Features of images in two dimensions, by class, with the learned centres (sun2021, fig. 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.canvas import Figure

_LEGEND = 16  # names in a column of the legend


@dataclasses.dataclass(frozen=True)
class Points:
    """The points of one run.

    Attributes:
      images: one for each image.
      labels: their classes.
      centers: the centre of each class; None without centres.
    """

    images: Float[np.ndarray, "N 2"]
    labels: Int[np.ndarray, " N"]
    centers: Float[np.ndarray, "K 2"] | None


def embedding(
    runs: Mapping[str, Points], labels: Sequence[str], is_shared: bool, name: str = "embedding"
) -> Figure:
    """Draws the points of each run side by side.

    Args:
      runs: title -> its points.
      labels: names of the K classes.
      is_shared: whether all have the same axes.
      name: names the files.
    """
    with canvas.drawing(4.4 * len(runs) + 1.2, 4.2) as drawn:
        panels = np.atleast_1d(drawn.subplots(1, len(runs), sharex=is_shared, sharey=is_shared))
        for axes, (title, points) in zip(panels, runs.items(), strict=True):
            for at, label in enumerate(labels):
                own = points.images[points.labels == at]
                axes.scatter(
                    own[:, 0],
                    own[:, 1],
                    s=7,
                    alpha=0.55,
                    linewidths=0,
                    color=canvas.color(at),
                    marker=canvas.marker(at),
                    label=canvas.legible(label),
                    rasterized=True,
                )
            if points.centers is not None:
                for at, place in enumerate(points.centers):
                    axes.scatter(
                        *place,
                        s=90,
                        color=canvas.color(at),
                        marker=canvas.marker(at),
                        edgecolors=canvas.INK,
                        linewidths=1.2,
                        zorder=3,
                    )
            axes.set_title(canvas.legible(title))
        handles, names = panels[-1].get_legend_handles_labels()
        look = {"fontsize": 9, "markerscale": 2.2, "ncols": -(-len(names) // _LEGEND)}
        drawn.legend(handles, names, loc="outside right upper", **look)
        alt = f"Features of images in two dimensions, coloured by class, of {', '.join(runs)}."
        return canvas.finished(name, alt, drawn)
