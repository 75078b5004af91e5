"""The findings of an audit: pure functions of all splits' examples, and of pairs of their images.

Shape letters: M rows (see `pooled`), P pairs, K classes.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy import sparse
from scipy.sparse import csgraph

from ferjax.data.audit.image_scan import Scan
from ferjax.data.audit.near_duplicates import Pairs
from ferjax.data.audit.pooled import Pool
from ferjax.data.splits.clean import clean_test_mask


@dataclass(frozen=True)
class Group:
    """Rows that show the same picture.

    Attributes:
      rows: two or more, ascending.
      labels: their different labels, ascending.
      splits: the different splits they are in, ascending.
      subjects: the different persons they are said to show, sorted; () where nothing is said.
    """

    rows: tuple[int, ...]
    labels: tuple[int, ...]
    splits: tuple[int, ...]
    subjects: tuple[str, ...]

    @property
    def is_conflict(self) -> bool:
        """Whether one picture has several labels."""
        return len(self.labels) > 1

    @property
    def is_leak(self) -> bool:
        """Whether one picture is in several splits, or shows several persons."""
        return len(self.splits) > 1 or len(self.subjects) > 1


@dataclass(frozen=True)
class Leak:
    """Which images of one split are also in another.

    Attributes:
      split: whose images they are.
      other: where they are too.
      exact: rows of `split` whose pixels are in `other`.
      near: rows of `split` whose pixels are not in `other`, but a near duplicate is.
    """

    split: str
    other: str
    exact: tuple[int, ...]
    near: tuple[int, ...]


@dataclass(frozen=True)
class Balance:
    """How many examples of each class a split has.

    Attributes:
      split: its name.
      counts: K of them, in label order.
    """

    split: str
    counts: tuple[int, ...]

    @property
    def ratio(self) -> float | None:
        """The largest class over the smallest; None if a class has no example."""
        return max(self.counts) / min(self.counts) if min(self.counts) else None


@dataclass(frozen=True)
class Findings:
    """All that an audit finds. Groups come worst first, everything else in the order of rows.

    Attributes:
      num_rows: how many examples there are.
      num_distinct: how many distinct images they show.
      exact: groups of exact copies.
      near: groups that near duplicates connect, exact copies of each of them included. They are
        for looking at: the ends of a chain need not resemble each other.
      pairs: near duplicates, between distinct images.
      conflicts: int64 [P'], which of the pairs have a copy each whose labels differ.
      leaks: one for each pair of a later and an earlier split.
      subject_pairs: int64 [P''], which of the pairs are said to show different persons.
      shared_subjects: persons in several splits, and how many examples of theirs each split has.
      black: rows whose pixels are all 0.
      constant: rows whose pixels are all equal, and not 0.
      faint: rows that are not constant and have less contrast than `min_contrast`.
      min_contrast: the threshold, in grey levels of standard deviation.
      contrast: float32 [M], the contrast of every row.
      balance: the class counts of each split.
      clean: positions in the test split of each group of `clean_index.GROUPS`.
    """

    num_rows: int
    num_distinct: int
    exact: tuple[Group, ...]
    near: tuple[Group, ...]
    pairs: Pairs
    conflicts: np.ndarray
    leaks: tuple[Leak, ...]
    subject_pairs: np.ndarray
    shared_subjects: Mapping[str, Mapping[str, int]]
    black: tuple[int, ...]
    constant: tuple[int, ...]
    faint: tuple[int, ...]
    min_contrast: float
    contrast: np.ndarray
    balance: tuple[Balance, ...]
    clean: Mapping[str, np.ndarray]


def find(pool: Pool, scan: Scan, pairs: Pairs, num_classes: int, min_contrast: float) -> Findings:
    """Everything at once.

    Args:
      pool: all examples.
      scan: the scan of the distinct images, in the order of `pool.first`.
      pairs: near duplicates among the distinct images, numbered in that order.
      num_classes: K.
      min_contrast: grey levels of standard deviation; images below it are reported.
    """
    contrast = scan.contrast[pool.content]
    black, constant = scan.black[pool.content], scan.constant[pool.content]
    faint = ~constant & (contrast < min_contrast)
    return Findings(
        num_rows=len(pool),
        num_distinct=pool.num_distinct,
        exact=_worst_first(exact_groups(pool)),
        near=_worst_first(near_groups(pool, pairs)),
        pairs=pairs,
        conflicts=_where(pool, pairs, _labels_differ),
        leaks=tuple(leaks(pool, pairs)),
        subject_pairs=_where(pool, pairs, _subjects_differ),
        shared_subjects=shared_subjects(pool),
        black=_rows(black),
        constant=_rows(constant & ~black),
        faint=_rows(faint),
        min_contrast=min_contrast,
        contrast=contrast,
        balance=tuple(
            Balance(name, _counts(pool.labels[pool.split == number], num_classes))
            for number, name in enumerate(pool.splits)
        ),
        clean=clean_positions(pool, pairs),
    )


def exact_groups(pool: Pool) -> list[Group]:
    """The rows of every image that occurs more than once, in the order of the images."""
    counts = np.bincount(pool.content, minlength=pool.num_distinct)
    return [_group(pool, pool.copies(content)) for content in np.flatnonzero(counts > 1)]


def near_groups(pool: Pool, pairs: Pairs) -> list[Group]:
    """Connected components of near duplicates, with all exact copies of each image in them."""
    links = sparse.coo_matrix(
        (np.ones(len(pairs), np.int8), (pairs.first, pairs.second)),
        shape=(pool.num_distinct, pool.num_distinct),
    )
    _, component = csgraph.connected_components(links, directed=False)
    members: dict[int, list[int]] = {}
    for content in np.unique(np.concatenate([pairs.first, pairs.second])):
        members.setdefault(int(component[content]), []).append(int(content))
    return [
        _group(pool, np.concatenate([pool.copies(content) for content in contents]))
        for contents in members.values()
    ]


def leaks(pool: Pool, pairs: Pairs) -> list[Leak]:
    """Images of later splits that earlier ones hold too, by their pixels or nearly."""
    found = []
    present = [
        np.bincount(pool.content[pool.split == n], minlength=pool.num_distinct) > 0
        for n in _range(pool)
    ]
    for number, earlier in itertools.combinations(reversed(_range(pool)), 2):
        near = np.zeros(pool.num_distinct, bool)
        near[pairs.first[present[earlier][pairs.second]]] = True
        near[pairs.second[present[earlier][pairs.first]]] = True
        mine = pool.split == number
        exact = mine & present[earlier][pool.content]
        close = mine & near[pool.content] & ~exact
        found.append(Leak(pool.splits[number], pool.splits[earlier], _rows(exact), _rows(close)))
    return found


def shared_subjects(pool: Pool) -> dict[str, dict[str, int]]:
    """Persons who are in more than one split, and how often they are in each of those."""
    counts: dict[str, Counter[str]] = {}
    for subject, split in zip(pool.subjects, pool.split, strict=True):
        if subject:
            counts.setdefault(subject, Counter())[pool.splits[split]] += 1
    return {name: dict(count) for name, count in sorted(counts.items()) if len(count) > 1}


def clean_positions(pool: Pool, pairs: Pairs) -> dict[str, Int[np.ndarray, " _"]]:
    """Positions in the test split that are clean, and those that are clean of near duplicates too.

    `test_clean` follows `clean.clean_test_mask`. `test_clean_near` also leaves out images with a
    near duplicate in another split, or earlier in test, whether or not that one is clean.
    """
    if "test" not in pool.splits:
        return {name: np.zeros(0, np.intp) for name in ("test_clean", "test_clean_near")}
    test = pool.splits.index("test")
    contents = [
        [content.to_bytes(8, "little") for content in pool.content[pool.split == n].tolist()]
        for n in _range(pool)
    ]
    others = [contents[n] for n in _range(pool) if n != test]
    clean = clean_test_mask(contents[test], *others)
    # When a picture occurs first, in the order train and validation, then test.
    order = np.where(pool.split == test, 1 + pool.position, 0)
    seen = np.full(pool.num_distinct, np.iinfo(np.int64).max)
    np.minimum.at(seen, pool.content, order)
    partner = np.full(pool.num_distinct, np.iinfo(np.int64).max)
    np.minimum.at(partner, pairs.first, seen[pairs.second])
    np.minimum.at(partner, pairs.second, seen[pairs.first])
    mine = pool.content[pool.split == test]
    near = partner[mine] < seen[mine]
    return {
        "test_clean": np.flatnonzero(clean),
        "test_clean_near": np.flatnonzero(clean & ~near),
    }


def _group(pool: Pool, rows: np.ndarray) -> Group:
    rows = np.sort(rows)
    return Group(
        rows=tuple(rows.tolist()),
        labels=tuple(np.unique(pool.labels[rows]).tolist()),
        splits=tuple(np.unique(pool.split[rows]).tolist()),
        subjects=tuple(sorted({pool.subjects[row] for row in rows} - {""})),
    )


def _worst_first(groups: Iterable[Group]) -> tuple[Group, ...]:
    def rank(group: Group) -> tuple:
        return (
            not (group.is_leak and group.is_conflict),
            not group.is_leak,
            not group.is_conflict,
            -len(group.rows),
            group.rows,
        )

    return tuple(sorted(groups, key=rank))


def _where(
    pool: Pool, pairs: Pairs, differ: Callable[[Pool, np.ndarray, np.ndarray], bool]
) -> Int[np.ndarray, " _"]:
    found = [
        number
        for number, (one, other) in enumerate(zip(pairs.first, pairs.second, strict=True))
        if differ(pool, pool.copies(one), pool.copies(other))
    ]
    return np.array(found, np.int64)


def _labels_differ(pool: Pool, some: np.ndarray, others: np.ndarray) -> bool:
    return len({*pool.labels[some].tolist(), *pool.labels[others].tolist()}) > 1


def _subjects_differ(pool: Pool, some: np.ndarray, others: np.ndarray) -> bool:
    return len({pool.subjects[row] for row in (*some, *others)} - {""}) > 1


def _rows(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())


def _range(pool: Pool) -> range:
    return range(len(pool.splits))


def _counts(labels: np.ndarray, num_classes: int) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=num_classes).tolist())
