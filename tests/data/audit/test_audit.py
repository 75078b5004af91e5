"""The audit: each finding on data where it was planted."""

import numpy as np
import pytest

from ferjax.cli import pages
from ferjax.data.audit import image_scan, report
from ferjax.data.audit import page as audit_page
from ferjax.data.audit.findings import Balance
from tests.helpers.planted_audit import (
    FACES,
    SPLITS,
    audited,
    brighter,
    examples,
    flat,
    moved,
    thumbnail_of,
)


@pytest.fixture(scope="module")
def planted():
    return audited(SPLITS)


def test_rows_are_split_after_split_and_contents_are_distinct(planted):
    pool = planted.pool
    assert len(pool) == 12
    np.testing.assert_array_equal(pool.content, [0, 1, 0, 2, 3, 4, 2, 0, 5, 6, 7, 6])
    np.testing.assert_array_equal(pool.first, [0, 1, 3, 4, 5, 8, 9, 10])
    np.testing.assert_array_equal(pool.copies(0), [0, 2, 7])
    np.testing.assert_array_equal(pool[np.array([7, 5, 1])], FACES[[0, 3, 1]])
    np.testing.assert_array_equal(pool[4:6], np.stack([flat(0), FACES[3]]))


def test_exact_copies_and_their_conflicts(planted):
    found = {group.rows: group for group in planted.findings.exact}
    assert set(found) == {(0, 2, 7), (3, 6), (9, 11)}
    assert found[0, 2, 7].labels == (0, 1) and found[0, 2, 7].is_conflict
    assert not found[3, 6].is_conflict
    assert found[3, 6].splits == (0, 1) and found[3, 6].is_leak
    assert not found[9, 11].is_leak


def test_the_worst_group_is_first():
    splits = {
        "train": examples(FACES[[0, 0, 0, 0, 1, 1, 1, 2, 3, 4]], [0] * 6 + [1] + [0] * 3),
        "validation": examples(FACES[[2, 3, 4]], [0, 1, 0]),
        "test": examples(FACES[[4]], [0]),
    }
    # Rows 8 and 11 are in two splits with two labels; 9, 12 and 13 in three; 7 and 10 in two;
    # then there are two labels in one split, and last the largest group, which has one.
    assert [group.rows for group in audited(splits).findings.exact] == [
        (8, 11),
        (9, 12, 13),
        (7, 10),
        (4, 5, 6),
        (0, 1, 2, 3),
    ]


def test_what_leaks_exactly_does_not_leak_nearly_too():
    splits = SPLITS | {
        "train": examples([FACES[0], moved(FACES[0])], [0, 0]),
        "test": examples([FACES[0], brighter(FACES[0])], [0, 0]),
    }
    found = audited(splits).findings.leaks
    (leak,) = [one for one in found if (one.split, one.other) == ("test", "train")]
    assert (leak.exact, leak.near) == ((4,), (5,))


def test_near_duplicates_are_apart_from_exact_copies(planted):
    findings = planted.findings
    pairs = {
        (one, other): mirrored
        for one, other, mirrored in zip(
            *(array.tolist() for array in (findings.pairs.first, findings.pairs.second)),
            findings.pairs.mirrored.tolist(),
            strict=True,
        )
    }
    assert pairs == {(1, 5): False, (6, 7): False}
    assert [group.rows for group in findings.near] == [(1, 8), (9, 10, 11)]
    # FACES[1] is happy in train and angry in test.
    (conflict,) = findings.conflicts
    assert findings.pairs.first[conflict] == 1
    assert findings.pairs.num_left_out == 1


def test_leaks_between_splits(planted):
    found = {(leak.split, leak.other): (leak.exact, leak.near) for leak in planted.findings.leaks}
    assert found == {
        ("validation", "train"): ((6,), ()),
        ("test", "train"): ((7,), (8,)),
        ("test", "validation"): ((), ()),
    }


def test_clean_positions(planted):
    # Of the test images: the first is in train; the second nearly; the last is the third again,
    # and the fourth nearly.
    clean = planted.findings.clean
    assert clean["test_clean"].tolist() == [1, 2, 3]
    assert clean["test_clean_near"].tolist() == [2]


def test_a_near_duplicate_of_something_not_clean_is_not_clean_either():
    splits = SPLITS | {"test": examples([FACES[0], moved(FACES[0]), FACES[5]], [0, 0, 0])}
    clean = audited(splits).findings.clean
    assert clean["test_clean"].tolist() == [1, 2]
    assert clean["test_clean_near"].tolist() == [2]


def test_blank_and_faint_images():
    faint = (100 + FACES[6] // 60).astype(np.uint8)
    splits = SPLITS | {"validation": examples([flat(7), flat(0), faint], [0, 0, 0])}
    findings = audited(splits).findings
    assert (findings.black, findings.constant, findings.faint) == ((4, 6), (5,), (7,))
    assert 0 < findings.contrast[7] < 5
    assert findings.contrast[0] == pytest.approx(FACES[0].std(), rel=1e-5)


def test_balance(planted):
    train, validation, _ = planted.findings.balance
    assert (train.split, train.counts, train.ratio) == ("train", (3, 2, 0), None)
    assert validation.counts == (1, 0, 1)
    assert Balance("x", (6, 2, 3)).ratio == 3


def test_persons():
    images = [FACES[0], FACES[1], FACES[2]]
    splits = {
        "train": examples(images, [0, 0, 0], subjects=["S1", "S2", "S3"]),
        "validation": examples([moved(FACES[1])], [0], subjects=["S9"]),
        "test": examples([FACES[0], FACES[5]], [0, 0], subjects=["S4", "S3"]),
    }
    findings = audited(splits).findings
    assert findings.shared_subjects == {"S3": {"train": 1, "test": 1}}
    assert [group.subjects for group in findings.exact] == [("S1", "S4")]
    assert len(findings.subject_pairs) == 1
    figures = report.figures(findings)
    assert figures["groups of exact copies of several persons"] == 1
    assert figures["pairs of near duplicates of several persons"] == 1
    assert figures["persons in several splits"] == 1
    page = audit_page.page(audited(splits))
    assert "several persons" in page and "<b>test, angry, S4</b>" in page
    assert '<th scope="row">S3</th><td>1</td><td>0</td><td>1</td>' in page


def test_colour_images_of_another_size():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 20, 30, 3), np.uint8)
    images[1] = (9, 8, 7)
    scan = image_scan.scan(images)
    assert scan.greys.shape == (3, image_scan.SIDE, image_scan.SIDE)
    assert scan.constant.tolist() == [False, True, False]
    assert scan.black.tolist() == [False] * 3
    assert scan.contrast[1] == 0
    assert scan.contrast[0] == pytest.approx(images[0].std((0, 1)).max(), rel=1e-5)
    picture = thumbnail_of(pages.picture(images[0], audit_page.THUMBNAIL))
    np.testing.assert_array_equal(np.asarray(picture), images[0])
    large = pages.picture(rng.integers(0, 256, (224, 112, 3), np.uint8), audit_page.THUMBNAIL)
    assert thumbnail_of(large).size == (48, 96)


def test_images_are_read_a_bounded_number_at_a_time(monkeypatch):
    sizes = []

    class Counting:
        shape, dtype = FACES.shape, np.uint8

        def __len__(self):
            return len(FACES)

        def __getitem__(self, indices):
            sizes.append(len(indices))
            return FACES[indices]

    monkeypatch.setattr(image_scan, "_CHUNK_BYTES", 5 * 48 * 48)
    calls = []
    chunked = image_scan.scan(Counting(), on_image=lambda: calls.append(1))
    assert sorted(sizes) == [2, 5, 5] and len(calls) == 12
    monkeypatch.undo()
    np.testing.assert_array_equal(chunked.greys, FACES[..., 0])
    np.testing.assert_array_equal(chunked.contrast, image_scan.scan(FACES).contrast)
