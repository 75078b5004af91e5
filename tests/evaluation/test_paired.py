"""Paired comparisons: McNemar as in statsmodels, intervals that cover, and cautious verdicts."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from ferjax.evaluation import intervals, paired


# p-values of statsmodels 0.15.0: mcnemar([[50, b], [c, 30]], exact=True).pvalue
@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (0, 5, 0.0625),
        (3, 9, 0.14599609375),
        (10, 10, 1.0),
        (25, 48, 0.009542211425865477),
        (120, 171, 0.0033087986331269033),
    ],
)
def test_mcnemar_agrees_with_statsmodels(only_first, only_second, p):
    first = np.repeat([True, False, True, False], [only_first, only_second, 50, 30])
    second = np.repeat([False, True, True, False], [only_first, only_second, 50, 30])
    found = paired.mcnemar(first, second)
    assert found == (only_first, only_second, pytest.approx(p, rel=1e-12))


def draw(rng, number, better=0.0):
    """Two models of three classes that share most of their mistakes."""
    labels = rng.integers(0, 3, number)
    common = rng.random(number) < 0.5
    first = np.where(common | (rng.random(number) < 0.3), labels, (labels + 1) % 3)
    second = np.where(common | (rng.random(number) < 0.3 + better), labels, (labels + 1) % 3)
    return first, second, labels


def test_the_interval_over_images_covers_the_true_difference(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(0)
    inside, trials = 0, 200
    for _ in range(trials):
        first, second, labels = draw(rng, 200, better=0.2)
        low, high = paired.compare([first], [second], labels, 3).over_images
        inside += low <= 0.1 <= high
    assert 0.90 <= inside / trials <= 0.99


def test_differences_are_those_of_the_metrics():
    rng = np.random.default_rng(1)
    first, second, labels = draw(rng, 500, better=0.3)
    third, fourth, _ = draw(rng, 500)
    third, fourth = np.where(third == labels, third, 0), fourth % 3
    found = paired.compare([first, third], [second, fourth], labels, 4)
    accuracies = [(one == labels).mean() for one in (first, third, second, fourth)]
    gains = accuracies[2] - accuracies[0], accuracies[3] - accuracies[1]
    assert found.accuracy == pytest.approx(np.mean(gains))
    f1 = [
        sk.f1_score(labels, one, average="macro", labels=range(4), zero_division=0)
        for one in (first, third, second, fourth)
    ]
    assert found.macro_f1 == pytest.approx((f1[2] + f1[3] - f1[0] - f1[1]) / 2)
    low, high = found.macro_f1_over_images
    assert low < found.macro_f1 < high
    recall = [sk.recall_score(labels, one, average=None) for one in (first, third, second, fourth)]
    expected = (recall[2] + recall[3] - recall[0] - recall[1]) / 2
    np.testing.assert_allclose(found.recall[:3], expected)
    assert math.isnan(found.recall[3]) and len(found.mcnemar) == 2
    assert found.over_seeds is not None and found.over_seeds[0] < found.accuracy


def test_a_verdict_needs_images_and_seeds():
    labels = np.zeros(400, int)
    weak, strong = np.repeat([0, 1], [200, 200]), np.repeat([0, 1], [300, 100])
    assert paired.compare([weak], [strong], labels, 2).verdict == "higher"
    assert paired.compare([strong], [weak], labels, 2).verdict == "lower"
    assert paired.compare([weak], [weak], labels, 2).verdict == "open"
    few = labels[:4], np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1])
    assert paired.compare([few[1]], [few[2]], few[0], 2).verdict == "open"
    # The second is far better for one seed alone: images would say higher.
    varied = paired.compare([weak, strong], [strong, strong], labels, 2)
    assert varied.over_images[0] > 0 and varied.over_seeds[0] < 0 and varied.verdict == "open"
    better = np.repeat([0, 1], [302, 98])
    alike = paired.compare([weak] * 3, [strong, better, strong], labels, 2)
    assert alike.verdict == "higher"
    # Two equal differences have no deviation, which says nothing of other seeds.
    equal = paired.compare([weak] * 2, [strong] * 2, labels, 2)
    assert equal.over_seeds is None and equal.verdict == "open"


def test_images_of_one_person_are_no_independent_draws(monkeypatch):
    """Of two equally good models, one must not seem better because each person has three images."""
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(0)
    wrong = {"known": 0, "unknown": 0}
    for _ in range(100):
        first, second, labels = (np.repeat(column, 3) for column in draw(rng, 60))
        persons = np.repeat(np.arange(60), 3)
        known = paired.compare([first], [second], labels, 3, persons)
        unknown = paired.compare([first], [second], labels, 3)
        wrong["known"] += known.verdict != "open"
        wrong["unknown"] += unknown.verdict != "open"
        assert known.mcnemar == () and len(unknown.mcnemar) == 1
        assert known.accuracy == unknown.accuracy
    assert wrong["known"] <= 13 and wrong["unknown"] >= 18, wrong


def test_other_numbers_of_runs_cannot_be_paired():
    labels = np.zeros(3, int)
    with pytest.raises(ValueError, match="1 runs cannot be paired with 2"):
        paired.compare([labels], [labels, labels], labels, 2)
    with pytest.raises(ValueError, match="0 runs"):
        paired.compare([], [], labels, 2)
