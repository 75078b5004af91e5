"""Intervals hold the true value about as often as they say, and agree with SciPy's."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from ferjax.evaluation import intervals

# Of three classes, how often class i is called j.
CALLED = np.array([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
SHARES = np.array([0.5, 0.3, 0.2])


def draw(rng, number):
    labels = rng.choice(3, p=SHARES, size=number)
    predicted = (rng.random(number)[:, None] > CALLED[labels].cumsum(axis=1)).sum(axis=1)
    losses = rng.gamma(2.0, 0.5 + labels / 4)
    return predicted, labels, losses


def population():
    """macro-F1, balanced accuracy and mean loss of infinitely many examples."""
    joint = SHARES[:, None] * CALLED
    f1 = 2 * np.diag(joint) / (joint.sum(axis=0) + joint.sum(axis=1))
    loss = float(SHARES @ (2.0 * (0.5 + np.arange(3) / 4)))
    return {"macro_f1": f1.mean(), "balanced_accuracy": np.diag(CALLED).mean(), "loss": loss}


def test_bootstrap_intervals_cover_the_population_at_about_their_rate(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(0)
    truth, trials = population(), 300
    inside = dict.fromkeys(truth, 0)
    for _ in range(trials):
        found = intervals.bootstrap(*draw(rng, 250), 3)
        for name, value in truth.items():
            inside[name] += found[name][0] <= value <= found[name][1]
    # 0.95 of 300 trials, give or take three deviations and the bias of a percentile interval
    assert all(0.90 <= count / trials <= 0.985 for count in inside.values()), inside


def test_a_share_has_wilsons_interval_and_covers():
    assert intervals.share(8, 10) == pytest.approx(
        tuple(stats.binomtest(8, 10).proportion_ci(0.95, "wilson"))
    )
    hits = np.arange(101)
    ends = np.array([intervals.share(int(count), 100) for count in hits])
    for share in (0.05, 0.3, 0.7):
        inside = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert 0.92 <= stats.binom.pmf(hits, 100, share)[inside].sum() <= 0.98


def test_the_statistics_are_those_of_scikit_learn():
    predicted, labels, losses = draw(np.random.default_rng(3), 5000)
    found = intervals.bootstrap(predicted, labels, losses, 3)
    expected = {
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "loss": losses.mean(),
    }
    for name, value in expected.items():
        low, high = found[name]
        assert low < value < high and high - low < 0.06
    assert found == intervals.bootstrap(predicted, labels, losses, 3)  # the same draws again


def test_a_resample_may_lack_a_class_and_one_example_is_enough():
    labels = np.array([0, 0, 0, 0, 0, 2])
    found = intervals.bootstrap(labels, labels, np.zeros(6), 3)
    assert found["balanced_accuracy"] == (1.0, 1.0) and found["loss"] == (0.0, 0.0)
    one = intervals.bootstrap(np.array([1]), np.array([1]), np.array([0.5]), 3)
    assert one["loss"] == (0.5, 0.5) and one["balanced_accuracy"] == (1.0, 1.0)
