"""The code that splits: properties that hold for any labels, copies and persons."""

import itertools

import numpy as np
import pytest

from ferjax.data.splits import splitters, stratify
from ferjax.data.storage.records import Index
from ferjax.errors import UserError


def drawn(seed, count=400):
    """Labels of unequal classes, and contents of which some are there several times."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, count, p=[0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02]).astype(np.int32)
    contents = rng.integers(0, int(0.8 * count), count)
    hashes = tuple(int(content).to_bytes(32, "big") for content in contents)
    people = tuple(f"S{number:03}" for number in rng.choice(rng.integers(10, 60), count))
    return labels, hashes, people


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_out_shares_no_image_with_the_rest(seed):
    labels, hashes, _ = drawn(seed)
    mask = stratify.held_out(labels, hashes, share=0.1, seed=seed)
    kept = {content for content, held in zip(hashes, mask, strict=True) if not held}
    held = {content for content, held in zip(hashes, mask, strict=True) if held}
    assert held and not kept & held


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_out_is_stratified(seed):
    labels, _, _ = drawn(seed)
    alone = tuple(number.to_bytes(32, "big") for number in range(len(labels)))
    for share in (0.1, 0.25):
        mask = stratify.held_out(labels, alone, share=share, seed=seed)
        wanted = [round(share * count) for count in np.bincount(labels, minlength=7)]
        assert np.bincount(labels[mask], minlength=7).tolist() == wanted


def test_what_is_held_out_depends_on_content_and_seed_and_not_on_order():
    labels, _, _ = drawn(0)
    alone = tuple(number.to_bytes(32, "big") for number in range(len(labels)))
    mask = stratify.held_out(labels, alone, share=0.1, seed=3)
    order = np.random.default_rng(1).permutation(len(labels))
    moved = stratify.held_out(labels[order], [alone[i] for i in order], share=0.1, seed=3)
    np.testing.assert_array_equal(mask[order], moved)
    assert (mask != stratify.held_out(labels, alone, share=0.1, seed=4)).any()


@pytest.mark.parametrize("seed", range(20))
def test_no_person_is_in_two_folds(seed):
    _, _, people = drawn(seed)
    folds = stratify.subject_folds(people)
    assert set(folds.tolist()) == set(range(10))
    for person in set(people):
        of_person = {int(f) for f, name in zip(folds, people, strict=True) if name == person}
        assert len(of_person) == 1


def test_sorted_persons_are_dealt_out_one_by_one():
    people = [f"S{number:03}" for number in range(25)]
    assert stratify.subject_folds(people[::-1]).tolist() == [n % 10 for n in range(25)][::-1]


def test_folds_by_person_need_persons():
    with pytest.raises(UserError, match="at least 10 subjects; found 9"):
        stratify.subject_folds([f"S{number}" for number in range(9)])
    with pytest.raises(UserError, match="need a subject for each example"):
        stratify.subject_folds(["", *(f"S{number}" for number in range(12))])


def index(seed):
    labels, hashes, people = drawn(seed)
    return Index(
        labels, tuple(map(str, range(len(labels)))), hashes, people, np.zeros((len(labels), 0))
    )


def rows(scheme, split, stored, names, **options):
    parts = splitters.SCHEMES[scheme](split, lambda name: stored[name], names, **options)
    everything = []
    for part in parts:
        size = len(stored[part.stored].labels)
        positions = np.arange(size) if part.positions is None else part.positions
        everything += [(part.stored, int(row)) for row in positions]
    return everything


@pytest.mark.parametrize("fold", range(10))
@pytest.mark.parametrize("seed", range(3))
def test_a_fold_has_no_person_twice(fold, seed):
    stored = {"whole": index(seed)}
    people = [
        {
            stored["whole"].subjects[row]
            for _, row in rows("folds", split, stored, ["whole"], fold=fold)
        }
        for split in ("train", "validation", "test")
    ]
    assert not people[0] & people[1] and not people[0] & people[2] and not people[1] & people[2]


@pytest.mark.parametrize("split_by", ["subject", "image"])
def test_every_image_is_tested_by_one_fold_and_selects_in_another(split_by):
    stored = {"whole": index(0)}
    tested, selected = [], []
    for fold in range(10):
        parts = {
            split: rows("folds", split, stored, ["whole"], fold=fold, split_by=split_by)
            for split in ("train", "validation", "test")
        }
        assert sorted(itertools.chain(*parts.values())) == [("whole", row) for row in range(400)]
        tested += parts["test"]
        selected += parts["validation"]
    assert sorted(tested) == sorted(selected) == [("whole", row) for row in range(400)]


def test_folds_of_images_are_of_one_size_and_each_class_is_in_all():
    counts = (135, 54, 177, 75, 207, 84, 249)  # the classes of CK+
    labels = np.repeat(np.arange(7), counts)
    hashes = [bytes([row // 256, row % 256]) for row in range(len(labels))]
    folds = stratify.image_folds(labels, hashes, seed=0)
    assert sorted(np.bincount(folds)) == [98] * 9 + [99]
    for label, count in enumerate(counts):
        of_class = np.bincount(folds[labels == label], minlength=10)
        assert {count // 10, -(-count // 10)} == set(of_class)


def test_folds_of_images_leak_persons():
    """What the honest folds are for; the share is that of test images whose person trains."""
    stored = {"whole": index(0)}
    part = {
        split: rows("folds", split, stored, ["whole"], fold=0, split_by="image")
        for split in ("train", "test")
    }
    people = stored["whole"].subjects
    seen = {people[row] for _, row in part["train"]}
    assert np.mean([people[row] in seen for _, row in part["test"]]) > 0.9


@pytest.mark.parametrize(
    "names",
    [("whole",), ("train", "test"), ("train", "validation", "test")],
)
def test_a_users_splits_are_kept_and_what_is_missing_is_drawn(names):
    stored = {name: index(number) for number, name in enumerate(names)}
    parts = {
        split: rows("shares", split, stored, names, name="mine")
        for split in ("train", "validation", "test")
    }
    everything = list(itertools.chain(*parts.values()))
    assert sorted(everything) == sorted(
        (name, row) for name in names for row in range(len(stored[name].labels))
    )
    if "test" in names:
        assert {name for name, _ in parts["test"]} == {"test"}
    if "validation" not in names:
        contents = [
            {stored[name].pixel_hashes[row] for name, row in parts[split]}
            for split in ("train", "validation")
        ]
        assert not contents[0] & contents[1]
    if names == ("whole",):
        test = {stored["whole"].pixel_hashes[row] for _, row in parts["test"]}
        assert not test & contents[0] and not test & contents[1]


def test_training_without_a_test_split_does_not_test_on_training_images():
    stored = {"train": index(0)}
    with pytest.raises(UserError, match="no test split"):
        rows("shares", "test", stored, ("train",), name="mine")


def test_raf_db_is_tested_on_its_own_test_split_alone():
    stored = {"train": index(0), "test": index(1)}
    parts = {
        split: rows("held_out", split, stored, ("train", "test"))
        for split in ("train", "validation", "test")
    }
    assert parts["test"] == [("test", row) for row in range(400)]
    assert sorted(parts["train"] + parts["validation"]) == [("train", row) for row in range(400)]
    nothing = rows("held_out", "validation", stored, ("train", "test"), held_out=0.0)
    assert nothing == []
