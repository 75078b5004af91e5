"""A map that the predictions contradict is told, and a weak model is not."""

import numpy as np
import pytest

from ferjax.data.label_maps import LabelMap
from ferjax.evaluation import map_check

NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
GOOD = 0.93 * np.eye(7) + 0.01
# Shares of the images of each class that a model with 47 % accuracy on FER2013 calls so.
WEAK = np.array(
    [
        [118, 0, 58, 82, 76, 38, 119],
        [21, 0, 3, 10, 7, 5, 9],
        [44, 0, 93, 101, 78, 82, 130],
        [25, 0, 30, 694, 45, 18, 67],
        [60, 0, 51, 116, 171, 36, 160],
        [14, 0, 38, 42, 20, 245, 57],
        [44, 0, 29, 101, 61, 19, 372],
    ]
)
WEAK = WEAK / WEAK.sum(axis=1, keepdims=True)


def counted(shares, numbers, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([rng.multinomial(n, row) for n, row in zip(numbers, shares, strict=True)])


def warned(counts, table, names=NAMES):
    source = tuple(f"their {names[row]}" for row in range(len(counts)))
    return map_check.warning(np.asarray(counts), LabelMap(source, names, tuple(table)))


def test_three_exchanged_names_among_fourteen_images():
    counts = 2 * np.eye(7, dtype=int)
    said = warned(counts, (1, 2, 0, 3, 4, 5, 6))
    assert "of 2 images of their angry, 2 are called angry and 0 disgust" in said
    assert "their fear" in said and "happy" not in said
    assert warned(counts, range(7)) == ""


@pytest.mark.parametrize("shares", [GOOD, WEAK])
def test_a_wholly_wrong_order(shares):
    counts = counted(shares, [500] * 7)
    assert warned(counts, (2, 3, 4, 5, 6, 0, 1))
    assert warned(counts, range(7)) == ""


def test_a_wrong_order_where_a_class_has_no_images():
    """The sixth class is called what no class of the data is mapped to."""
    counts = counted(GOOD, [20] * 7)[:6]
    assert warned(counts, (6, 0, 1, 2, 3, 4))
    # One class alone called so may be a weakness of the model.
    assert warned(counts[:2], (0, 6)) == ""


def test_two_exchanged_names_need_more_images():
    swapped = (0, 1, 4, 3, 2, 5, 6)
    assert warned(2 * np.eye(7, dtype=int), swapped) == ""
    assert warned(10 * np.eye(7, dtype=int), swapped)


def test_a_class_that_is_right_is_not_named():
    """A third class is moved to make room for two, and most of its images agree with the map."""
    counts = np.zeros((7, 7), int)
    counts[[0, 1, 2, 3, 4, 5, 6], [2, 0, 1, 3, 4, 5, 6]] = 40, 40, 0, 40, 40, 40, 40
    counts[2, [2, 4]] = 11, 29
    said = warned(counts, range(7))
    assert "40 images of their angry, 40 are called fear and 0 angry" in said
    assert "40 images of their disgust" in said and "images of their fear" not in said
    assert said.endswith("the scores alone cannot tell which.")


def test_a_model_that_is_partial_to_a_class():
    """Three classes are called by the name of the next, and one of these even more by another."""
    counts = [[2, 62, 36], [0, 2, 98], [36, 60, 4]]
    assert warned(counts, (0, 1, 2), NAMES[:3])
    counts = [[2, 62, 36], [0, 2, 98], [33, 65, 2]]
    assert warned(counts, (0, 1, 2), NAMES[:3]) == ""


def test_two_names_of_one_class_are_no_contradiction():
    counts = counted(GOOD[[0, 0, 3, 4]], [30] * 4)
    assert warned(counts, (0, 0, 3, 4)) == ""
    said = warned(counts, (0, 3, 0, 4))
    assert "their disgust" in said and "their fear" in said and "their angry" not in said


@pytest.mark.parametrize("number", [7, 14, 30, 100, 1000])
@pytest.mark.parametrize("kind", ["chance", "partial", "weak"])
def test_weak_models_are_left_in_peace(kind, number):
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        partial = np.tile(rng.dirichlet(np.full(7, 0.6)), (7, 1))
        shares = {"chance": np.full((7, 7), 1 / 7), "partial": partial, "weak": WEAK}[kind]
        rows = rng.permutation(7)[: rng.integers(2, 8)]
        numbers = rng.multinomial(number, np.full(len(rows), 1 / len(rows)))
        table = [int(row) for row in rows]
        alarms += warned(counted(shares[rows], numbers, seed), table) != ""
    assert alarms <= 1


def test_what_cannot_be_judged():
    assert warned([[0, 0, 0, 90, 0, 0, 0]], (0,)) == ""
    assert warned(np.zeros((2, 7), int), (0, 1)) == ""
    assert warned([[1, 0, 0, 0, 0, 0, 0], [0] * 7], (2, 1)) == ""
    assert warned([[9, 0, 0, 0, 0, 0, 0], [5] * 7], (0, None)) == ""


def test_names_are_shown_on_one_line():
    said = map_check.warning(
        np.array([[0, 30], [30, 0]]), LabelMap(("a\nb", "c"), ("d", "e\x1b"), (0, 1))
    )
    assert "a\\nb" in said and "e\\x1b" in said and "\n" not in said
