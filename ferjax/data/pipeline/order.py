"""Which examples each training batch holds: a function of (seed, epoch) alone.

Shape letters: N examples, B batch.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import grain
import numpy as np
from jaxtyping import Int, Integer

from ferjax.errors import UserError

SAMPLINGS = ("uniform", "balanced")


class Rows(NamedTuple):
    """The examples of one global batch.

    Attributes:
      indices: int32 [B], positions in the training split.
      visits: int32 [B], how often each of them was there before in the same epoch; None if an epoch
        has each example at most once.
      epoch: the epoch the batch belongs to, counted from 0.
    """

    indices: np.ndarray
    visits: np.ndarray | None
    epoch: int


def training_order(
    labels: Integer[np.ndarray, " N"], batch_size: int, *, seed: int, sampling: str = "uniform"
) -> grain.MapDataset:
    """The `Rows` of global batch number s, for s = 0, 1, ...: a random-access grain dataset.

    Every epoch has a new order, a function of (seed, epoch), and drops its last partial batch.
    grain's own shuffle takes its elements one by one, some 20 microseconds each; a batch cut from
    an order made once per epoch costs as much as one element.

    Args:
      labels: the labels of the training split.
      batch_size: B.
      seed: the seed of the order.
      sampling: "uniform", or "balanced" (see `balanced_epoch`).

    Raises:
      UserError: fewer examples than one batch.
      ValueError: another sampling.
    """
    check(len(labels), batch_size)
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling is {sampling!r}; expected one of {SAMPLINGS}")
    steps_per_epoch = len(labels) // batch_size

    @functools.lru_cache(maxsize=2)
    def of_epoch(epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
        if sampling == "balanced":
            return balanced_epoch(labels, seed, epoch)
        return epoch_permutation(len(labels), seed, epoch), None

    def batch(number: int, _: int) -> Rows:
        epoch, step = divmod(number, steps_per_epoch)
        indices, visits = of_epoch(epoch)
        rows = slice(step * batch_size, (step + 1) * batch_size)
        return Rows(indices[rows], None if visits is None else visits[rows], epoch)

    return grain.MapDataset.range(steps_per_epoch).repeat().map_with_index(batch)


def epoch_permutation(num_examples: int, seed: int, epoch: int) -> Int[np.ndarray, " N"]:
    """The order of one epoch: a stable sort of Philox numbers keyed by (seed, epoch).

    Raw numbers rather than NumPy's shuffle, whose stream may change between its releases.
    """
    keys = np.random.Philox(key=[seed, epoch]).random_raw(num_examples)
    return np.argsort(keys, kind="stable").astype(np.int32)


def balanced_epoch(
    labels: Integer[np.ndarray, " N"], seed: int, epoch: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """The order of one epoch in which all classes are equally frequent, to one example.

    It is as long as an epoch of all examples. A class with too few examples repeats all of them
    before it repeats any again; a class with too many leaves out other examples in each epoch. The
    classes that get one example more than the others change from epoch to epoch.

    Returns:
      Positions, and for each how often it was there before in this epoch.
    """
    present = np.unique(labels)
    share, left_over = divmod(len(labels), len(present))
    shuffled = epoch_permutation(len(labels), seed, epoch)
    chosen, visits = [], []
    for number, label in enumerate(present):
        members = shuffled[labels[shuffled] == label]
        wanted = share + ((number - epoch) % len(present) < left_over)
        places = np.arange(wanted)
        chosen.append(members[places % len(members)])
        visits.append(places // len(members))
    # Not the random numbers of the permutation, for the order among the classes.
    keys = np.random.Philox(key=[seed, epoch]).jumped().random_raw(len(labels))
    order = np.argsort(keys, kind="stable")
    return np.concatenate(chosen)[order], np.concatenate(visits)[order].astype(np.int32)


def check(num_examples: int, batch_size: int) -> None:
    """Raises a UserError where there are fewer examples than one batch."""
    if num_examples < batch_size:
        raise UserError(
            f"train.batch_size is {batch_size}, but the training split has only {num_examples} "
            "examples; use a smaller batch."
        )
