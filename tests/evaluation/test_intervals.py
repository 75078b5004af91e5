"""Intervals hold the true value about as often as they say, and agree with SciPy's."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from ferjax.evaluation import intervals
from ferjax.metrics import wilson

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


def of_scores(predicted, labels, losses, persons=None):
    in_top2 = predicted == labels  # no matter here
    return intervals.of_scores(predicted, labels, in_top2, losses, 3, persons)


def coverage(trials, draw_one, truth):
    inside = dict.fromkeys(truth, 0)
    for _ in range(trials):
        found = of_scores(*draw_one())
        for name, value in truth.items():
            inside[name] += found[name][0] <= value <= found[name][1]
    return {name: count / trials for name, count in inside.items()}


def test_intervals_cover_the_population_at_about_their_rate(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(0)
    truth = {**population(), "accuracy": float(SHARES @ np.diag(CALLED))}
    found = coverage(400, lambda: draw(rng, 250), truth)
    # 0.95 of 400 trials, give or take three deviations and the bias of a percentile interval
    assert all(0.91 <= share <= 0.985 for share in found.values()), found


def test_persons_are_drawn_whole(monkeypatch):
    """Five equal images of each person: without persons the intervals are far too narrow."""
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    rng = np.random.default_rng(1)
    truth = {**population(), "accuracy": float(SHARES @ np.diag(CALLED))}

    def repeated():
        return [np.repeat(column, 5) for column in draw(rng, 80)]

    persons = np.repeat(np.arange(80), 5)
    known = coverage(200, lambda: [*repeated(), persons], truth)
    assert all(0.88 <= share <= 0.99 for share in known.values()), known
    unknown = coverage(200, repeated, truth)
    assert all(share < 0.8 for share in unknown.values()), unknown


def test_resamples_of_kinds_are_resamples_of_examples():
    """The ends are those of SciPy's bootstrap of the examples, up to its draws."""
    predicted, labels, losses = draw(np.random.default_rng(3), 400)
    found = of_scores(predicted, labels, losses)

    def f1(rows):
        return sk.f1_score(labels[rows], predicted[rows], average="macro")

    theirs = stats.bootstrap(
        (np.arange(400),), f1, n_resamples=1000, method="percentile", vectorized=False, rng=0
    ).confidence_interval
    assert found["macro_f1"] == pytest.approx((theirs.low, theirs.high), abs=0.006)
    student = stats.ttest_1samp(losses, 0).confidence_interval(0.95)
    assert found["loss"] == pytest.approx((student.low, student.high))
    assert found == of_scores(predicted, labels, losses)  # the same draws again


def test_a_share_has_wilsons_interval_and_covers():
    assert wilson(8, 10) == pytest.approx(
        tuple(stats.binomtest(8, 10).proportion_ci(0.95, "wilson"))
    )
    hits = np.arange(101)
    ends = np.array([wilson(int(count), 100) for count in hits])
    for share in (0.05, 0.3, 0.7):
        inside = (ends[:, 0] <= share) & (share <= ends[:, 1])
        assert 0.92 <= stats.binom.pmf(hits, 100, share)[inside].sum() <= 0.98


def test_a_resample_may_lack_a_class_and_one_example_is_enough():
    """Class 1 has no image at all, class 2 has one, which many resamples lack."""
    labels = np.array([0, 0, 0, 0, 0, 2])
    found = of_scores(labels, labels, np.zeros(6))
    assert found["balanced_accuracy"] == (1.0, 1.0) and found["loss"] == (0.0, 0.0)
    assert found["macro_f1"] == pytest.approx((2 / 3, 2 / 3))  # as macro-F1 itself
    one = of_scores(np.array([1]), np.array([1]), np.array([0.5]))
    assert one["loss"] == (0.5, 0.5) and one["balanced_accuracy"] == (1.0, 1.0)


def test_many_examples_take_no_more_draws_than_few(monkeypatch):
    drawn = []
    resampled = intervals.resampled

    def counted(sums, counts, statistic):
        drawn.append(len(counts))
        return resampled(sums, counts, statistic)

    monkeypatch.setattr(intervals, "resampled", counted)
    of_scores(*draw(np.random.default_rng(0), 50_000))
    assert drawn == [9]
