"""Which stored examples train, which select and which test: pure functions of labels and names.

Shape letters: N examples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, Integer

from ferjax.errors import UserError

NUM_FOLDS = 10


def held_out(
    labels: Integer[np.ndarray, " N"], pixel_hashes: Sequence[bytes], *, share: float, seed: int
) -> Bool[np.ndarray, " N"]:
    """A stratified random part of a split, which shares no image with the rest.

    Exact copies of an image stay together, so that a class can miss its share by a few. Which
    images are chosen depends on their content and on the seed, not on their order.

    Args:
      labels: classes.
      pixel_hashes: equal for exact copies.
      share: the share of each class that is held out, rounded; from 0 to below 1.
      seed: another seed holds out other images.

    Raises:
      UserError: a share out of range.
    """
    if not 0.0 <= share < 1.0:
        raise UserError(f"a held-out share must be at least 0 and below 1, found {share}.")
    copies: dict[bytes, list[int]] = {}
    for index, content in enumerate(pixel_hashes):
        copies.setdefault(content, []).append(index)
    images = sorted(copies)
    order = np.argsort(np.random.Philox(key=seed).random_raw(len(images)), kind="stable")
    left = {
        label: round(share * int(count))
        for label, count in zip(*np.unique(labels, return_counts=True), strict=True)
    }
    mask = np.zeros(len(labels), bool)
    for number in order:
        group = copies[images[number]]
        label = labels[group[0]]
        if len(group) <= left[label]:
            left[label] -= len(group)
            mask[group] = True
    return mask


def subject_folds(subjects: Sequence[str], num_folds: int = NUM_FOLDS) -> Int[np.ndarray, " N"]:
    """The fold of each example, 0 to num_folds - 1: sorted subjects are dealt out one by one.

    No subject is in two folds.

    Raises:
      UserError: fewer subjects than folds, or an example without one.
    """
    names = sorted(set(subjects))
    if "" in names or len(names) < num_folds:
        raise UserError(
            f"folds by subject need a subject for each example and at least {num_folds} subjects; "
            f"found {len(names)}."
        )
    fold = {name: number % num_folds for number, name in enumerate(names)}
    return np.array([fold[name] for name in subjects], np.int32)


def image_folds(
    labels: Integer[np.ndarray, " N"],
    pixel_hashes: Sequence[bytes],
    num_folds: int = NUM_FOLDS,
    *,
    seed: int,
) -> Int[np.ndarray, " N"]:
    """Random stratified folds of single images, as in papers that leak subjects into the test.

    The images of a class are dealt out one by one, each class from where the last one ended, so
    that neither the sizes of the folds nor their counts of a class differ by more than one.
    """
    order = np.argsort(np.random.Philox(key=seed).random_raw(len(labels)), kind="stable")
    by_content = np.array(sorted(range(len(labels)), key=lambda i: pixel_hashes[i]), np.int64)
    shuffled = by_content[order]
    folds = np.empty(len(labels), np.int32)
    first = 0
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        folds[rows] = (first + np.arange(len(rows))) % num_folds
        first += len(rows)
    return folds
