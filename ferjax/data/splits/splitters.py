"""Schemes that make the splits for training, selection and test from the stored splits.

Each scheme is a function `(split, stored, names, **options) -> parts`; the parts are positions in
stored splits. `stored(name)` reads labels and other facts of a stored split, without its pixels; a
scheme calls it only for splits that the answer depends on. `names` lists the stored splits. The
keywords with their defaults are the options of the data set.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferjax.data.splits import stratify, votes
from ferjax.data.storage.records import Index
from ferjax.errors import UserError, one_of

Stored = Callable[[str], Index]
# In place of a fold: one run of each.
ALL_FOLDS = -1


@dataclass(frozen=True)
class Part:
    """Some examples of a stored split.

    Attributes:
      stored: the name of the stored split.
      positions: int [n]; None for all of them.
      labels: int32 [n] that replace the stored labels, or None.
      targets: float32 [n, K], distributions to train on, or None.
    """

    stored: str
    positions: np.ndarray | None = None
    labels: np.ndarray | None = None
    targets: np.ndarray | None = None


def official(split: str, stored: Stored, names: Sequence[str]) -> list[Part]:
    """The stored splits as they are."""
    return [Part(split)]


def held_out(
    split: str,
    stored: Stored,
    names: Sequence[str],
    *,
    held_out: float = 0.1,
    split_seed: int = 0,
) -> list[Part]:
    """Validation is a stratified part of the stored training split, by a fixed seed."""
    if split == "test":
        return [Part("test")]
    known = stored("train")
    mask = stratify.held_out(known.labels, known.pixel_hashes, share=held_out, seed=split_seed)
    return [Part("train", np.flatnonzero(mask == (split == "validation")))]


def folds(
    split: str,
    stored: Stored,
    names: Sequence[str],
    *,
    fold: int = 0,
    split_by: str = "subject",
    split_seed: int = 0,
    validation_fold: bool = True,
) -> list[Part]:
    """Fold i tests, fold i + 1 selects, the other eight train.

    Without `validation_fold` nothing selects, and fold i + 1 trains, too.
    """
    known = stored("whole")
    if split_by == "subject":
        of_each = stratify.subject_folds(known.subjects)
    else:
        of_each = stratify.image_folds(known.labels, known.pixel_hashes, seed=split_seed)
    selecting = (fold + 1) % stratify.NUM_FOLDS if validation_fold else -1
    member = {
        "test": of_each == fold,
        "validation": of_each == selecting,
        "train": (of_each != fold) & (of_each != selecting),
    }
    return [Part("whole", np.flatnonzero(member[split]))]


def ballots(
    split: str, stored: Stored, names: Sequence[str], *, target: str = "majority"
) -> list[Part]:
    """The official splits of FER+; selecting and testing are always by majority."""
    known = stored(split)
    labels, targets, kept = votes.labelled(known.votes, target if split == "train" else "majority")
    rows = np.flatnonzero(kept)
    return [Part(split, rows, labels[rows], None if targets is None else targets[rows])]


def shares(
    split: str,
    stored: Stored,
    names: Sequence[str],
    *,
    name: str = "",
    held_out: float = 0.1,
    test_share: float = 0.1,
    split_seed: int = 0,
) -> list[Part]:
    """A user's own splits, and stratified random ones for those that are not there.

    Validation is a part of train, `held_out`; `test_share` is of images that are not split at all.

    Raises:
      UserError: there is a training split and no test split.
    """
    del name  # says which folder is opened
    if split in names:
        only_train = split == "train" and "validation" not in names
        if not only_train:
            return [Part(split)]
    origin = "train" if "train" in names else "whole"
    if (split, origin) == ("test", "train"):
        raise UserError(
            "the data set has a training split and no test split: prepare it with both, or with "
            "the classes alone, from which a test split is then drawn."
        )
    known = stored(origin)
    rows = np.arange(len(known.labels))
    if origin == "whole":
        mask = stratify.held_out(
            known.labels, known.pixel_hashes, share=test_share, seed=split_seed + 1
        )
        if split == "test":
            return [Part(origin, np.flatnonzero(mask))]
        rows = np.flatnonzero(~mask)
    mask = stratify.held_out(
        known.labels[rows],
        [known.pixel_hashes[row] for row in rows],
        share=held_out,
        seed=split_seed,
    )
    return [Part(origin, rows[mask == (split == "validation")])]


SCHEMES: Mapping[str, Callable[..., list[Part]]] = {
    function.__name__: function for function in (official, held_out, folds, ballots, shares)
}


def options(scheme: str) -> dict[str, Any]:
    """The options of a scheme with their defaults."""
    parameters = inspect.signature(SCHEMES[scheme]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def check(chosen: Mapping[str, Any]) -> None:
    """Raises a UserError that names an option whose value is out of range."""
    for option, low, high, what in (
        ("held_out", 0.0, 1.0, "a share of at least 0 and below 1"),
        ("test_share", 0.0, 1.0, "a share of at least 0 and below 1"),
        ("split_seed", 0, 2**63, "a whole number of at least 0"),
        ("fold", 0, stratify.NUM_FOLDS, f"0 to {stratify.NUM_FOLDS - 1}"),
    ):
        if option in chosen and not low <= chosen[option] < high:
            text = f"dataset.options.{option} is {chosen[option]}; expected {what}."
            if (option, chosen[option]) == ("fold", ALL_FOLDS):
                text += f" {ALL_FOLDS}, one run of each, is for ferjax.main alone."
            raise UserError(text)
    for option, choices in (("split_by", ("subject", "image")), ("target", votes.TARGETS)):
        if option in chosen:
            one_of(f"dataset.options.{option}", chosen[option], choices)


def which_images(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide which images train and which test."""
    return {name: value for name, value in chosen.items() if name not in ("target", "name")}


def leak(chosen: Mapping[str, Any]) -> str:
    """What makes a test with these options optimistic; "" if nothing does."""
    if chosen.get("split_by") == "image":
        return "the folds are of single images, so that the same persons train and test"
    return ""


def draws_labels(chosen: Mapping[str, Any]) -> bool:
    """Whether training draws a class from the targets of an example at each visit (FER+)."""
    return chosen.get("target") == "probability"
