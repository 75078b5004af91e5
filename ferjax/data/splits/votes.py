"""FER+: from the votes of ten people to labels (Barsoum et al. 2016, section 3).

The entries of a ballot are the eight classes of `labels.FER_PLUS`, then unknown, then no face.
Shape letters: N examples, K classes, V = K + 2 entries of a ballot.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from ferjax.data.labels import FER_PLUS

TARGETS = ("majority", "probability", "cross_entropy")
ENTRIES = (*FER_PLUS.names, "unknown", "NF")
MOST_CLASSES = 3  # in a distribution


def without_single_votes(votes: Integer[np.ndarray, "N V"]) -> Int[np.ndarray, "N V"]:
    """The votes, with single votes (of one person alone) set to zero."""
    return np.where(votes > 1, votes, 0)


def majority(
    votes: Integer[np.ndarray, "N V"],
) -> tuple[Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The class with most votes, and which examples have one.

    An example counts if one class has more than half of the votes that remain without single
    votes; unknown and no face are not classes. The label of an example that does not count is the
    first of the classes with most votes.
    """
    left = without_single_votes(votes)
    num_classes = FER_PLUS.num_classes
    top = left[:, :num_classes].max(axis=1)
    labels = left[:, :num_classes].argmax(axis=1).astype(np.int32)
    return labels, 2 * top > left.sum(axis=1)


def distribution(
    votes: Integer[np.ndarray, "N V"],
) -> tuple[Float[np.ndarray, "N K"], Bool[np.ndarray, " N"]]:
    """The shares of the leading classes of each ballot, and which examples count.

    As in the release of Barsoum et al. 2016: without single votes, entries are taken from the one
    with most votes down, equal ones together, until they hold 75 % of the votes or are three. This
    stops at unknown or no face, which are not taken. An example counts if at most three classes
    were taken and they hold more than half of the votes; their votes are normalised to sum to 1. An
    example that does not count gets equal shares.
    """
    left = without_single_votes(votes)
    num_classes = FER_PLUS.num_classes
    total = left.sum(axis=1)
    taken = np.zeros((len(left), num_classes), left.dtype)
    goes_on = np.ones(len(left), bool)
    for _ in range(MOST_CLASSES):
        goes_on &= 4 * taken.sum(axis=1) < 3 * total
        goes_on &= np.count_nonzero(taken, axis=1) < MOST_CLASSES
        leading = goes_on[:, None] & (left == left.max(axis=1, keepdims=True))
        taken += np.where(leading, left, 0)[:, :num_classes]
        left = np.where(leading, 0, left)
        goes_on &= ~leading[:, num_classes:].any(axis=1)
    held = taken.sum(axis=1)
    kept = (2 * held > total) & (np.count_nonzero(taken, axis=1) <= MOST_CLASSES)
    shares = np.where(kept[:, None], taken / np.maximum(held, 1)[:, None], 1 / num_classes)
    return shares.astype(np.float32), kept


def labelled(
    votes: Integer[np.ndarray, "N V"], target: str
) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N K"] | None, Bool[np.ndarray, " N"]]:
    """Labels, the distributions to train on if there are any, and which examples count.

    Args:
      votes: ballots.
      target: "majority" for labels alone; "probability" and "cross_entropy" for distributions: the
        first draws a class at each visit, the second uses the distribution as the target.

    Raises:
      ValueError: another target.
    """
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; expected one of {TARGETS}")
    if target == "majority":
        labels, kept = majority(votes)
        return labels, None, kept
    targets, kept = distribution(votes)
    return targets.argmax(axis=1).astype(np.int32), targets, kept
