"""Ballots of FER+: which image they are about, and how many people chose each entry."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers.csv_files import shortened
from ferjax.data.splits import votes
from ferjax.errors import UserError

_IMAGE_NAME = re.compile(r"fer[0-9]{7}\.png")


class Ballot(NamedTuple):
    """One image and its votes.

    Attributes:
      name: the name of the image.
      votes: in the order of `votes.ENTRIES`.
      image: returns its grey values, uint8 [48, 48, 1], when called; as `Item.image`.
      where: how to call the image in a message.
    """

    name: str
    votes: tuple[int, ...]
    image: Callable[[], np.ndarray]
    where: str = ""


def image_name(text: str, at: str) -> str:
    """The name of an image in FER+; for other texts a UserError with the place, `at`."""
    name = text.strip()
    if not _IMAGE_NAME.fullmatch(name):
        raise UserError(
            f"{at}: expected the name of an image, such as fer0000000.png, found "
            f"{shortened(text)!r}."
        )
    return name


def votes_of(cells: Sequence[str], at: str) -> tuple[int, ...]:
    """The votes in ten cells in the order of `votes.ENTRIES`.

    They are ten as a rule, which is not checked: the rules of FER+ are about shares.

    Raises:
      UserError: one of them is no whole number; says where `at` and which entry it is.
    """
    for entry, cell in zip(votes.ENTRIES, cells, strict=True):
        if not re.fullmatch(r"[0-9]{1,4}", cell.strip()):
            raise UserError(
                f"{at}: the votes for {entry} must be a whole number, found {shortened(cell)!r}."
            )
    return tuple(map(int, cells))


def items(ballots: Iterable[Ballot]) -> list[Item]:
    """Ballots as items, whose label is the class with most votes (see `votes.majority`)."""
    ballots = list(ballots)
    counts = np.array([ballot.votes for ballot in ballots], np.int32)
    labels, _ = votes.majority(counts.reshape(len(ballots), len(votes.ENTRIES)))
    return [
        Item(ballot.name, int(label), ballot.image, votes=ballot.votes, where=ballot.where)
        for ballot, label in zip(ballots, labels, strict=True)
    ]


def kept(splits: Mapping[str, Sequence[Ballot]]) -> tuple[str, ...]:
    """A note for each split: how many of its images each target trains on or tests with."""
    notes = []
    for split, ballots in splits.items():
        counts = np.array([ballot.votes for ballot in ballots], np.int32)
        counts = counts.reshape(len(ballots), len(votes.ENTRIES))
        by_majority, by_share = votes.majority(counts)[1].sum(), votes.distribution(counts)[1].sum()
        notes.append(
            f"{split}: {by_majority:,} of {len(ballots):,} images have a majority and are used "
            f"with target=majority, and to select and test; {by_share:,} have one to "
            "three leading classes and are used with the other targets. The table has all, by the "
            "class with most votes."
        )
    return tuple(notes)
