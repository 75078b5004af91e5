"""Mixup: shares of the right distribution, keyed by the example; mixtures by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ferjax.data.pipeline import mixup
from ferjax.data.pipeline.augment import example_keys


def keys(count):
    return example_keys(0, jnp.int32(0), jnp.arange(count, dtype=jnp.int32))


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 4.0])
def test_shares_have_the_beta_distribution(alpha):
    shares = np.asarray(mixup.shares(keys(4000), alpha), np.float64)
    assert ((shares >= 0) & (shares <= 1)).all()
    # Small alphas give shares that float32 cannot tell from 0 or 1: compared where it can.
    levels = np.array([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
    found = (shares[:, None] <= levels).mean(axis=0)
    # A share of 4,000 has a standard error of at most 0.008.
    np.testing.assert_allclose(found, stats.beta(alpha, alpha).cdf(levels), atol=0.03)


def test_a_share_depends_on_its_example_alone():
    order = np.array([5, 1, 3])
    some = example_keys(0, jnp.int32(0), jnp.asarray(order))
    np.testing.assert_array_equal(mixup.shares(some, 0.4), mixup.shares(keys(7), 0.4)[order])


@pytest.mark.parametrize("distributions", [False, True])
def test_images_and_targets_are_mixed_with_those_of_the_mirrored_row(distributions):
    rng = np.random.default_rng(0)
    images, labels = rng.random((5, 4, 4, 1)), np.array([0, 2, 1, 1, 2])
    targets = rng.dirichlet(np.ones(3), 5) if distributions else np.eye(3)[labels]
    share = np.array([0.9, 0.2, 0.3, 0.5, 0.4])
    mixed, classes, shares = mixup.mix(
        jnp.asarray(images, jnp.float32),
        jnp.asarray(labels, jnp.int32),
        jnp.asarray(targets, jnp.float32) if distributions else None,
        jnp.asarray(share, jnp.float32),
        3,
    )
    for row in range(5):
        own, other = share[row], 1 - share[row]
        expected = own * images[row] + other * images[4 - row]
        np.testing.assert_allclose(mixed[row], expected, atol=1e-6)
        expected = own * targets[row] + other * targets[4 - row]
        np.testing.assert_allclose(shares[row], expected, atol=1e-6)
    # Row 1 is mostly row 3, row 4 mostly row 0; row 3 is half of each and keeps its own.
    assert classes.tolist() == [0, 1, 1, 1, 0]
