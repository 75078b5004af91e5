"""FER+: from the votes of ten people to labels (Barsoum et al. 2016, section 3).

The entries of a ballot are the eight classes of `labels.FER_PLUS`, then unknown, then no face.
Shape letters: N examples, K classes, V = K + 2 entries of a ballot.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from ferjax.data.labels import FER_PLUS
from ferjax.errors import UserError, nearest

TARGETS = ("majority", "probability", "cross_entropy")
ENTRIES = (*FER_PLUS.names, "unknown", "NF")


def without_single_votes(votes: Integer[np.ndarray, "N V"]) -> Int[np.ndarray, "N V"]:
    """The votes, those that one person alone cast set to zero."""
    return np.where(votes > 1, votes, 0)


def majority(
    votes: Integer[np.ndarray, "N V"],
) -> tuple[Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The class with most votes, and which examples have one.

    An example counts where one class has more than half of the votes that are left without single
    ones; unknown and no face are no classes. The first of equal classes is the label of an example
    that does not count.
    """
    left = without_single_votes(votes)
    num_classes = FER_PLUS.num_classes
    top = left[:, :num_classes].max(axis=1)
    labels = left[:, :num_classes].argmax(axis=1).astype(np.int32)
    return labels, 2 * top > left.sum(axis=1)


def distribution(
    votes: Integer[np.ndarray, "N V"],
) -> tuple[Float[np.ndarray, "N K"], Bool[np.ndarray, " N"]]:
    """The share of each class in the votes for classes, and which examples have any.

    An example counts where the entry with most votes, without single ones, is a class: neither
    unknown nor no face. The others get equal shares.
    """
    left = without_single_votes(votes)
    classes = left[:, : FER_PLUS.num_classes]
    total = classes.sum(axis=1, keepdims=True)
    kept = (left.argmax(axis=1) < FER_PLUS.num_classes) & (total[:, 0] > 0)
    shares = np.where(kept[:, None], classes / np.maximum(total, 1), 1 / FER_PLUS.num_classes)
    return shares.astype(np.float32), kept


def labelled(
    votes: Integer[np.ndarray, "N V"], target: str
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N K"] | None, Bool[np.ndarray, " N"]]:
    """Labels, the distributions to train on if there are any, and which examples count.

    Args:
      votes: ballots.
      target: "majority" for labels alone; "probability" and "cross_entropy" for distributions,
        of which the one draws a class at each visit and the other is the target as it is.

    Raises:
      UserError: another target.
    """
    if target not in TARGETS:
        raise UserError(
            f"dataset.options.target is {target!r}; expected one of {', '.join(TARGETS)}."
            + nearest(target, TARGETS)
        )
    if target == "majority":
        labels, kept = majority(votes)
        return labels, None, kept
    targets, kept = distribution(votes)
    return targets.argmax(axis=1).astype(np.int32), targets, kept
