"""The geometry of class means and centres against loops over examples."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.evaluation.class_geometry import Accumulator, batch_sums
from tests.golden import numpy_losses as reference

K, D = 5, 6


def expected(x, y, c):
    """The figures by their definitions, one example after the other."""
    present = sorted(set(y))
    means = {j: np.mean([x[i] for i in range(len(x)) if y[i] == j], axis=0) for j in present}
    overall = np.mean(x, axis=0)
    between = sum(np.sum((means[j] - overall) ** 2) for j in y)
    within = sum(np.sum((x[i] - means[j]) ** 2) for i, j in enumerate(y))
    offsets = [np.linalg.norm(c[j] - means[j]) / np.linalg.norm(means[j]) for j in present]
    return {
        "mean_pairwise_cosine": reference.pairwise([means[j] for j in present]),
        "center_pairwise_cosine": reference.pairwise([c[j] for j in present]),
        "between_within_variance": between / within,
        "center_offset": np.median(offsets),
    }


def test_geometry_over_padded_batches():
    """Class 3 has no example, the last batch is padded; features far from zero, as behind ReLUs."""
    rng = np.random.default_rng(0)
    y = rng.choice([0, 1, 2, 4], 50)
    x = (5.0 + rng.standard_normal((50, D))).astype(np.float32)
    c = rng.standard_normal((K, D)).astype(np.float32)
    geometry = Accumulator()
    for start in range(0, 50, 16):
        rows = np.arange(start, start + 16)
        mask = rows < 50
        rows = np.minimum(rows, 49)
        geometry.add(batch_sums(*map(jnp.asarray, (x[rows], y[rows].astype(np.int32), mask)), K))
    found = geometry.compute(jnp.asarray(c))
    for name, value in expected(np.float64(x), y, np.float64(c)).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


def test_without_centres_there_are_no_figures_of_them():
    geometry = Accumulator()
    geometry.add(batch_sums(jnp.eye(3), jnp.arange(3), jnp.ones(3, bool), 3))
    found = geometry.compute(None)
    assert found["center_offset"] is None and found["center_pairwise_cosine"] is None
    assert found["mean_pairwise_cosine"] == 6.0


@pytest.mark.parametrize("length", [0.0, 1.0, 10.0, 1e4])
def test_one_example_of_each_class_or_equal_features_have_no_variance_within(length):
    for labels in (jnp.arange(3), jnp.zeros(3, jnp.int32)):
        rows = length * jnp.eye(3) if labels[1] else jnp.full((3, 3), length / 3)
        geometry = Accumulator()
        geometry.add(batch_sums(rows, labels, jnp.ones(3, bool), 3))
        assert geometry.compute(None)["between_within_variance"] is None


def test_of_nothing_there_is_no_geometry():
    with pytest.raises(ValueError, match="no example"):
        Accumulator().compute(None)
