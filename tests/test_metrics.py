"""Metrics agree with scikit-learn, merge exactly, and count each unmasked example once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from ferjax.metrics import ConfusionState, mean_sd_ci

K = 7


def make(count=500, seed=0, classes=K):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    scores = rng.normal(size=(count, K)).astype(np.float32)
    scores[np.arange(count), labels] += 1.5
    losses = rng.exponential(size=count).astype(np.float32)
    return scores, labels.astype(np.int32), losses


def state_of(scores, labels, losses, mask=None):
    mask = None if mask is None else jnp.asarray(mask)
    return ConfusionState.from_batch(
        jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(losses), mask
    )


# With five of seven classes, two have no example; predicting them is then always wrong.
@pytest.mark.parametrize("classes", [7, 5])
def test_agrees_with_scikit_learn(classes):
    scores, labels, losses = make(classes=classes)
    predicted = scores.argmax(axis=1)
    ours = state_of(scores, labels, losses).compute()
    options = {"labels": range(K), "average": None, "zero_division": 0}
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted), abs=1e-12)
    for ours_name, theirs in [
        ("per_class_recall", sk.recall_score),
        ("per_class_precision", sk.precision_score),
        ("per_class_f1", sk.f1_score),
    ]:
        np.testing.assert_allclose(ours[ours_name], theirs(labels, predicted, **options), 1e-12)
    macro = sk.f1_score(labels, predicted, labels=range(K), average="macro", zero_division=0)
    assert ours["macro_f1"] == pytest.approx(macro, abs=1e-12)
    present = sk.f1_score(labels, predicted, labels=np.unique(labels), average="macro")
    assert ours["macro_f1_present"] == pytest.approx(present, abs=1e-12)
    expected = sk.confusion_matrix(labels, predicted, labels=range(K))
    assert ours["confusion"] == expected.tolist()
    assert ours["loss"] == pytest.approx(losses.mean(dtype=np.float64), rel=1e-6)
    assert ours["num_examples"] == 500


def test_a_class_neither_seen_nor_predicted_counts_as_zero():
    scores = np.eye(3, dtype=np.float32)[[0, 1]]
    ours = state_of(scores, np.array([0, 1], np.int32), np.zeros(2, np.float32)).compute()
    assert ours["per_class_f1"] == [1.0, 1.0, 0.0]
    assert ours["macro_f1"] == pytest.approx(2 / 3)
    assert ours["macro_f1_present"] == 1.0


def test_padding_counts_nothing_whatever_it_holds():
    scores, labels, losses = make(64)
    mask = np.arange(64) < 41
    plain = state_of(scores[:41], labels[:41], losses[:41]).compute()
    scores[41:], labels[41:], losses[41:] = np.nan, 2, np.nan
    assert state_of(scores, labels, losses, mask).compute() == plain


def test_merging_batches_in_any_order_equals_one_pass():
    scores, labels, losses = make(500)
    parts = [
        state_of(scores[i : i + 64], labels[i : i + 64], losses[i : i + 64])
        for i in range(0, 500, 64)
    ]
    whole = state_of(scores, labels, losses)
    for order in (parts, parts[::-1]):
        merged = ConfusionState.empty(K)
        for part in order:
            merged = jax.jit(ConfusionState.merge)(merged, part)
        assert merged.confusion.dtype == jnp.int32
        np.testing.assert_array_equal(merged.confusion, whole.confusion)
        assert merged.loss_sum == pytest.approx(float(whole.loss_sum), rel=1e-6)


def test_counts_stay_exact_where_float32_is_not():
    large = 2**24 + 1  # the first integer that float32 cannot hold
    state = ConfusionState(jnp.full((2, 2), large, jnp.int32), jnp.float32(0))
    one = ConfusionState(jnp.ones((2, 2), jnp.int32), jnp.float32(0))
    assert state.merge(one).compute()["confusion"] == [[large + 1] * 2] * 2
    assert state.num_examples == 4 * large


def test_equal_scores_take_the_first_class():
    ours = state_of(np.zeros((1, K)), np.array([3], np.int32), np.zeros(1, np.float32))
    assert ours.confusion[3, 0] == 1


def test_an_empty_state_has_no_metrics():
    with pytest.raises(ValueError, match="no example was counted"):
        ConfusionState.empty(K).compute()


def test_mean_sd_and_interval_over_seeds():
    values = [0.661, 0.672, 0.668]
    ours = mean_sd_ci(values)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert ours["n"] == 3
    assert ours["mean"] == pytest.approx(0.667)
    assert ours["sd"] == pytest.approx(np.std(values, ddof=1))
    assert ours["ci95"] == pytest.approx((low, high))


def test_one_seed_has_no_deviation():
    assert mean_sd_ci([0.5]) == {"n": 1, "mean": 0.5, "sd": None, "ci95": None}
    with pytest.raises(ValueError, match="at least one"):
        mean_sd_ci([])
