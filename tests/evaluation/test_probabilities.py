"""Metrics of probabilities agree with scikit-learn and netcal; a temperature keeps the order."""

import math

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

from ferjax.evaluation import probabilities


def make(count=400, classes=7, seed=0, sharpness=1.0):
    """Probabilities, and labels drawn from a softened form of them: they are too confident."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, classes)) * 2.0
    true = special.softmax(logits, axis=1)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    return special.softmax(sharpness * logits, axis=1).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [3, 7])
def test_top_k_and_log_loss_agree_with_scikit_learn(classes, seed):
    rows, labels = make(classes=classes, seed=seed)
    names = list(range(classes))
    for k in (1, 2):
        theirs = sk.top_k_accuracy_score(labels, rows, k=k, labels=names)
        assert probabilities.in_top(rows, labels, k).mean() == pytest.approx(theirs, abs=1e-12)
    exact = rows.astype(np.float64)
    theirs = sk.log_loss(labels, exact / exact.sum(axis=1, keepdims=True), labels=names)
    assert probabilities.losses(rows, labels).mean() == pytest.approx(theirs, abs=1e-6)


def test_equal_probabilities_go_to_the_first_class():
    rows = np.full((1, 4), 0.25, np.float32)
    found = [probabilities.in_top(rows, np.array([label]), 2)[0] for label in range(4)]
    assert found == [True, True, False, False]
    assert probabilities.in_top(np.ones((2, 1)), np.zeros(2, int), 2).all()  # one class alone


def test_calibration_error_agrees_with_netcal():
    """The values are of netcal 1.4.0, ECE(bins=10) and ECE(bins=15), for the same draws."""
    rng = np.random.default_rng(7)
    rows = rng.dirichlet(np.ones(5) * 0.6, size=400)
    soft = rows**0.7 / (rows**0.7).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in soft])
    assert probabilities.calibration_error(rows, labels, 10) == pytest.approx(0.09220820742677846)
    assert probabilities.calibration_error(rows, labels, 15) == pytest.approx(0.10485282406432501)


def test_calibration_error_of_plain_cases():
    sure = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    assert probabilities.calibration_error(sure, np.array([0, 0, 1, 1])) == 0.0
    assert probabilities.calibration_error(sure, np.array([0, 1, 1, 0])) == pytest.approx(0.5)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_a_temperature_undoes_the_sharpness(sharpness):
    rows, labels = make(20_000, sharpness=sharpness)
    fitted = probabilities.fit_temperature(rows, labels)
    assert fitted == pytest.approx(sharpness, rel=0.03)
    after = probabilities.scaled(rows, fitted)
    assert probabilities.calibration_error(after, labels) < 0.012
    best = probabilities.losses(after, labels).mean()
    for other in (0.97, 1.03, 1 / fitted):
        worse = probabilities.scaled(rows, fitted * other)
        assert probabilities.losses(worse, labels).mean() >= best - 1e-12


@pytest.mark.parametrize("temperature", [0.01, 0.5, 1.0, 3.0, 100.0])
def test_a_temperature_never_changes_a_prediction(temperature):
    rng = np.random.default_rng(1)
    rows = rng.dirichlet(np.ones(7), size=500).astype(np.float32)
    # Neighbours in float32, ties, certainty and zeros.
    rows[0] = [0.2, np.nextafter(np.float32(0.2), np.float32(1)), 0.2, 0.1, 0.1, 0.1, 0.1]
    rows[1], rows[2], rows[3] = 1 / 7, np.eye(7)[3], [0.5, 0.5, 0, 0, 0, 0, 0]
    after = probabilities.scaled(rows, temperature)
    np.testing.assert_array_equal(after.argmax(axis=1), rows.argmax(axis=1))
    np.testing.assert_allclose(after.sum(axis=1), 1.0)
    if temperature == 1.0:
        np.testing.assert_allclose(after[4:], rows[4:], rtol=1e-5)


def test_a_model_that_is_never_wrong_has_an_end_of_the_range():
    rows = special.softmax(3.0 * np.eye(3), axis=1)
    assert probabilities.fit_temperature(rows, np.arange(3)) == pytest.approx(0.01, rel=1e-3)
    assert probabilities.fit_temperature(rows, np.array([1, 2, 0])) == pytest.approx(100, rel=1e-3)
    uniform = np.full((5, 3), 1 / 3)  # every temperature is as good: none is taken
    assert probabilities.fit_temperature(uniform, np.array([0, 1, 2, 0, 1])) == 1.0


def test_a_probability_of_zero_has_a_finite_loss():
    rows = np.array([[1.0, 0.0]], np.float32)
    assert probabilities.losses(rows, np.array([1]))[0] == pytest.approx(
        -math.log(np.finfo(np.float32).tiny)
    )
