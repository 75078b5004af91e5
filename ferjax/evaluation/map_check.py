"""Whether the predictions say that a label map is wrong, or the classes of the data set shuffled.

Shapes: S classes of the data set that have examples, K classes of the model. The rule is made to
stay silent about a model that is weak, partial to some classes, or no better than chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int
from scipy import optimize, special

from ferjax.data.label_maps import LabelMap
from ferjax.errors import one_line
from ferjax.metrics import Metrics

# The name of the group of examples of one class of the data set; no split is called so.
_GROUP = "class:"
# In the classes that another map would take for others, it has to explain so many images, ...
_LEAST = 5
# ... and besides so many for each image that the label map explains, ...
_RATIO = 3
# ... and on average this share of a class, of two that are exchanged and of more, ...
_SHARE_OF_TWO, _SHARE = 0.5, 0.35
# ... where predictions at random would allow any map as good with this probability.
_CHANCE = 1e-3
# With so many classes, one may be called what no class of the data set is mapped to.
_OPEN = 4
# Of the classes, a warning names as many.
_NAMED = 8


def groups(labels: Int[np.ndarray, " N"], label_map: LabelMap) -> dict[str, Bool[np.ndarray, " N"]]:
    """Masks of the examples of each mapped class of the data set, for an evaluation.

    Args:
      labels: the class of the data set of each example.
      label_map: the map.
    """
    return {
        f"{_GROUP}{number}": labels == number
        for number, ours in enumerate(label_map.table)
        if ours is not None
    }


def taken_out(
    scores: Mapping[str, Mapping[str, Metrics]], label_map: LabelMap
) -> tuple[dict[str, dict[str, Metrics]], list[str]]:
    """The scores without these groups, and what the predictions of the first view say of the map.

    Returns:
      metrics[view][group]; and at most one warning.
    """
    view = next(iter(scores.values()))
    found = np.zeros((len(label_map.source), len(label_map.target)), np.int64)
    for number in range(len(found)):
        if f"{_GROUP}{number}" in view:
            found[number] = np.sum(view[f"{_GROUP}{number}"]["confusion"], axis=0)
    others = {
        name: {group: each for group, each in found.items() if not group.startswith(_GROUP)}
        for name, found in scores.items()
    }
    said = warning(found, label_map)
    return others, [said] if said else []


def warning(counts: Int[np.ndarray, "S K"], label_map: LabelMap) -> str:
    """A sentence on the classes that the model mostly calls by each other's names; else "".

    The classes of the data set are assigned to those of the model, each to another, so that the
    mean share of correct images is largest. A warning follows if this differs from the map, and far
    more images of the classes that it moves agree with it than with the map.

    Args:
      counts: how many images of each class of the data set are called what; rows of classes
        without a class of the model do not count.
      label_map: the map, all of whose classes have a row.
    """
    ours = np.array([-1 if number is None else number for number in label_map.table])
    rows = np.flatnonzero((counts.sum(axis=1) > 0) & (ours >= 0))
    if len(rows) < 2:
        return ""
    counts, ours = counts[rows], ours[rows]
    better = _best(counts, ours)
    if not _is_far_better(counts, ours, better):
        return ""
    names = [one_line(label_map.source[row]) for row in rows]
    target = [one_line(name) for name in label_map.target]
    each = np.arange(len(rows))
    # The best assignment may also move a class that is right, to make room for another.
    moved = np.flatnonzero(counts[each, better] > counts[each, ours])
    parts = [
        f"of {counts[row].sum():,} images of {names[row]}, {counts[row, better[row]]:,} are called "
        f"{target[better[row]]} and {counts[row, ours[row]]:,} {target[ours[row]]}"
        for row in moved[:_NAMED]
    ]
    more = "; ..." if len(moved) > _NAMED else ""
    return (
        "The label map may be wrong, or classes of the data exchanged, such as class folders: "
        f"{'; '.join(parts)}{more}. Check what the classes mean where the images come from; the "
        "scores alone cannot tell which."
    )


def _best(counts: Int[np.ndarray, "S K"], ours: Int[np.ndarray, " S"]) -> Int[np.ndarray, " S"]:
    """The assignment with the largest mean share; a class may be taken as often as in the map."""
    times = np.maximum(np.bincount(ours, minlength=counts.shape[1]), 1)
    columns = np.repeat(np.arange(counts.shape[1]), times)
    shares = counts / counts.sum(axis=1, keepdims=True)
    _, chosen = optimize.linear_sum_assignment(shares[:, columns], maximize=True)
    return columns[chosen]


def _is_far_better(
    counts: Int[np.ndarray, "S K"], ours: Int[np.ndarray, " S"], better: Int[np.ndarray, " S"]
) -> bool:
    num_rows, num_classes = counts.shape
    each, shares = np.arange(num_rows), counts / counts.sum(axis=1, keepdims=True)
    moved = better != ours
    number = int(moved.sum())
    # Classes that change places. One class that is called another, which has no images here, is
    # what a weak model does.
    outside = set(better[moved].tolist()) - set(ours[moved].tolist())
    if number < 2 or (outside and (number < _OPEN or len(outside) > 1)):
        return False
    agree, agree_by_map = counts[each, better][moved].sum(), counts[each, ours][moved].sum()
    if agree < _LEAST + _RATIO * agree_by_map:
        return False
    share = shares[each, better][moved].mean()
    least = _SHARE_OF_TWO if number == 2 else _SHARE
    if share < least or share < _RATIO * shares[each, ours][moved].mean():
        return False
    # A model that is partial to a class calls many classes so, and not this one above all.
    if (shares[each, better] < shares[:, better].max(axis=0))[moved].any():
        return False
    return _log_chance(
        int(counts.sum()), int(counts[each, better].sum()), num_rows, num_classes
    ) < (math.log(_CHANCE))


def _log_chance(images: int, right: int, num_rows: int, num_classes: int) -> float:
    """A bound of the logarithm of the probability that some map is as good by chance.

    The number of maps, times the probability of so many right images among predictions at random.
    """
    free = max(num_classes - num_rows, 0)
    maps = special.gammaln(num_classes + 1) - special.gammaln(free + 1)
    tail = special.betainc(right, images - right + 1, 1 / num_classes)
    return float(maps + np.log(np.maximum(tail, np.finfo(float).tiny)))
