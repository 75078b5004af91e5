"""Near duplicates: planted copies are found, faces that only resemble each other are not."""

import imagehash
import numpy as np
import pytest
from PIL import Image

from ferjax.data.audit import image_scan, near_duplicates, resemblance, window_hashes
from tests.helpers.planted import KINDS, measure, scaled, shifted, synthetic


@pytest.fixture(scope="module")
def faces():
    return synthetic(420)


@pytest.fixture(scope="module")
def measured(faces):
    return measure(faces, np.arange(0, 420, 15))


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_synthetic_faces_are_found(measured, kind):
    assert measured.recall[kind] >= 0.98


def test_pairs_of_synthetic_faces_are_right(measured):
    assert measured.touched > 25 * len(KINDS)
    assert measured.precision >= 0.999
    assert measured.own == 0


def pairs_of(greys):
    found = near_duplicates.find(np.stack(greys))
    return {
        (int(one), int(other)): bool(mirrored)
        for one, other, mirrored in zip(found.first, found.second, found.mirrored, strict=True)
    }


def test_whether_a_copy_is_mirrored_is_said(faces):
    greys = [faces[0], faces[1], shifted(faces[1], 2, -2), shifted(faces[0][:, ::-1], 0, 2)]
    assert pairs_of(greys) == {(0, 3): True, (1, 2): False}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("down", [-2, 0, 2])
@pytest.mark.parametrize("right", [-2, 0, 2])
def test_every_shift_is_found_from_both_sides(faces, down, right, mirrored):
    some = faces[:15]
    copies = [shifted(face[:, ::-1] if mirrored else face, down, right) for face in some]
    for greys in ([*some, *copies], [*copies, *some]):
        assert pairs_of(greys) == {(number, number + 15): mirrored for number in range(15)}


def test_many_blocks_find_what_one_does(faces, monkeypatch):
    greys = np.concatenate([faces[:60], faces[:60, :, ::-1]])
    whole = near_duplicates.find(greys)
    assert len(whole) >= 60
    for name in ("_ROWS", "_COLUMNS", "_TASK"):
        monkeypatch.setattr(near_duplicates, name, 7)
    parts = near_duplicates.find(greys)
    np.testing.assert_array_equal(whole.first, parts.first)
    np.testing.assert_array_equal(whole.second, parts.second)
    np.testing.assert_array_equal(whole.mirrored, parts.mirrored)
    np.testing.assert_allclose(whole.similarity, parts.similarity, atol=1e-6)
    assert whole.first.dtype == np.int64 and (whole.first < whole.second).all()


def test_processes_hash_as_one_does(faces, monkeypatch):
    windows = ((0, 0, False), (2, -2, False), (0, 0, True))
    one = window_hashes.window_hashes(faces[:20], windows, 2)
    monkeypatch.setattr(window_hashes, "_WORTH_PROCESSES", 1)
    monkeypatch.setattr(window_hashes, "_BLOCK", 8)
    calls = []
    many = window_hashes.window_hashes(faces[:20], windows, 2, lambda: calls.append(1))
    np.testing.assert_array_equal(one, many)
    assert len(calls) == 20


def test_a_hash_is_that_of_the_library(faces):
    grey = faces[5]
    (found,) = window_hashes.hash_block(grey[None], ((2, -1, False), (0, 0, True)), 2)
    moved = imagehash.phash(Image.fromarray(grey[4:48, 1:45]), 8, 2)
    mirrored = imagehash.phash(Image.fromarray(grey[2:46, 2:46][:, ::-1]), 8, 2)
    for hash_, wanted in zip(found, (moved, mirrored), strict=True):
        bits = np.unpackbits(np.array([hash_], np.uint64).view(np.uint8))
        np.testing.assert_array_equal(bits.astype(bool), wanted.hash.ravel())


def test_images_without_contrast_are_counted_not_compared(faces):
    blank = [np.full((48, 48), value, np.uint8) for value in (0, 9, 200)]
    calls = []
    found = near_duplicates.find(np.stack([faces[0], *blank]), lambda: calls.append(1))
    assert len(found) == 0 and found.num_left_out == 3
    assert len(calls) == 8


def test_nothing_to_compare():
    found = near_duplicates.find(np.empty((0, 48, 48), np.uint8))
    assert len(found) == 0 and found.num_left_out == 0


def test_similarity_is_of_the_best_shift_and_ignores_brightness(faces):
    details = resemblance.details(
        np.stack([faces[0], faces[1], shifted(faces[0], 3, -3), scaled(faces[0], 0.5)])
    )
    found = resemblance.similarity(details[[0, 0, 0, 0]], details)
    assert found[0] == pytest.approx(1, abs=1e-3)
    assert found[1] < 0.7
    assert found[2] > 0.95 and found[3] > 0.95
    flat = resemblance.details(np.full((1, 48, 48), 7, np.uint8))
    assert not flat.any()
    assert resemblance.similarity(flat, details[:1]) == [0]


def test_colour_images_of_224_pixels():
    """Copies that were changed at full size, in colour, and then made small."""
    from ferjax.data.synthetic import faces

    images = faces.render_faces(7 * np.arange(12), image_size=224, channels=3)
    copies = [np.roll(images[0], (4, -4), (0, 1)), images[1][:, ::-1], scaled(images[2], 0.9)]
    greys = image_scan.small_greys(np.concatenate([images, copies]))
    assert pairs_of(greys) == {(0, 12): False, (1, 13): True, (2, 14): False}
