"""Features of images in two dimensions: by principal components, or by t-SNE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

METHODS = ("pca", "tsne")
_BEFORE_TSNE = 50  # principal components that t-SNE gets
_PERPLEXITY = 30.0

# Images, and centres or None. Runs may have other numbers of them, and other features.
Flat = tuple[Float[np.ndarray, "_ 2"], Float[np.ndarray, "_ 2"] | None]
Deep = tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, "_ _"] | None]


def flatten(runs: Sequence[Deep], method: str) -> tuple[list[Flat], bool]:
    """Features and centres of each run in two dimensions, and whether all have the same axes.

    Runs have the same principal components if their features have the same width. t-SNE places
    neighbours together and has no axes: its distances between far points mean nothing.

    Args:
      runs: features of images, and centres or None.
      method: one of `METHODS`.
    """
    if method == "tsne":
        return [_tsne(*one) for one in runs], False
    if len({features.shape[1] for features, _ in runs}) == 1:
        axes = _axes(np.concatenate([features for features, _ in runs]), 2)
        return [_on(axes, *one) for one in runs], True
    return [_on(_axes(features, 2), features, centers) for features, centers in runs], False


Axes = tuple[Float[np.ndarray, " D"], Float[np.ndarray, "D _"]]


def _axes(rows: Float[np.ndarray, "N D"], number: int) -> Axes:
    """The mean and the first principal components, 0 where there are fewer."""
    from sklearn.decomposition import PCA

    mean, directions = rows.mean(axis=0), np.zeros((rows.shape[1], number))
    if np.ptp(rows, axis=0).any():  # dead features have no direction
        found = PCA(n_components=min(number, *rows.shape), random_state=0).fit(rows)
        directions[:, : len(found.components_)] = found.components_.T
    return mean, directions


def _on(axes: Axes, features: np.ndarray, centers: np.ndarray | None) -> Deep:
    mean, directions = axes
    flat = None if centers is None else (centers - mean) @ directions
    return (features - mean) @ directions, flat


def _tsne(features: np.ndarray, centers: np.ndarray | None) -> Flat:
    """The centres are placed among the images, as further points."""
    from sklearn.manifold import TSNE

    axes = _axes(features, _BEFORE_TSNE)
    rows, flat = _on(axes, features, centers)
    together = rows if flat is None else np.concatenate([rows, flat])
    if len(together) < 4 or not rows[:, 0].std() > 0:  # no neighbours, or all are the same
        return _on(_axes(features, 2), features, centers)
    perplexity = min(_PERPLEXITY, (len(together) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(together)
    return placed[: len(rows)], None if flat is None else placed[len(rows) :]
