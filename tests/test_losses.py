"""Cross-entropy, center and island loss against NumPy loops, finite differences, known values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import losses
from ferjax.training.objective import Objective
from tests.golden import numpy_losses as reference

B, K, D = 12, 7, 32
TOLERANCE = 1e-5


def assert_close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.fixture
def arrays():
    """Logits [B, K], features [B, D], labels [B] without classes 2 and 5, centres [K, D]."""
    rng = np.random.default_rng(7)
    logits = 3 * rng.standard_normal((B, K)).astype(np.float32)
    features = rng.standard_normal((B, D)).astype(np.float32)
    labels = rng.permutation([0, 0, 0, 1, 1, 3, 3, 3, 3, 4, 6, 6]).astype(np.int32)
    centers = rng.standard_normal((K, D)).astype(np.float32)
    return logits, features, labels, centers


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy(arrays, smoothing):
    logits, _, labels, _ = arrays
    actual = losses.cross_entropy(
        jnp.asarray(logits), jnp.asarray(labels), label_smoothing=smoothing
    )
    assert_close(actual, reference.cross_entropy(logits, labels, smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_soft_labels(arrays, smoothing):
    logits, *_ = arrays
    soft = np.random.default_rng(8).dirichlet(np.ones(K), B).astype(np.float32)
    actual = losses.cross_entropy(jnp.asarray(logits), jnp.asarray(soft), label_smoothing=smoothing)
    assert_close(actual, reference.cross_entropy(logits, soft, smoothing))


def test_cross_entropy_survives_huge_logits():
    logits = jnp.array([[1e4, 0.0, -1e4], [0.0, 0.0, 1e4]])
    assert_close(losses.cross_entropy(logits, jnp.array([0, 2])), 0.0)
    assert_close(losses.cross_entropy(logits, jnp.array([1, 2])), 5e3)


def test_cross_entropy_counts_masked_examples_only(arrays):
    logits, _, labels, _ = arrays
    keep = np.arange(B) % 3 == 0
    actual = losses.cross_entropy(jnp.asarray(logits), jnp.asarray(labels), mask=jnp.asarray(keep))
    assert_close(actual, reference.cross_entropy(logits[keep], labels[keep]))


def test_class_weights_act_like_repeated_examples(arrays):
    logits, _, labels, _ = arrays
    repeats = np.array([1, 3, 1, 2, 1, 1, 4])[labels]
    actual = losses.cross_entropy(
        jnp.asarray(logits),
        jnp.asarray(labels),
        weights=jnp.array([1.0, 3.0, 1.0, 2.0, 1.0, 1.0, 4.0]),
    )
    expected = reference.cross_entropy(logits.repeat(repeats, axis=0), labels.repeat(repeats))
    assert_close(actual, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_of_distributions_divide_by_the_number_of_examples(arrays, smoothing):
    """PyTorch 2 with probabilities as targets: -sum_ik w_k t_ik log p_ik / B."""
    logits, *_ = arrays
    rng = np.random.default_rng(8)
    soft, weights = rng.dirichlet(np.ones(K), B), rng.uniform(0, 3, K)
    keep = np.arange(B) % 4 > 0
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    targets = (1 - smoothing) * soft + smoothing / K
    each = -(weights * targets * log_p).sum(axis=1)
    given = [jnp.asarray(array, jnp.float32) for array in (logits, soft, weights)]
    fields = {"weights": given.pop(), "label_smoothing": smoothing}
    assert_close(losses.cross_entropy(*given, **fields), each.mean())
    masked = losses.cross_entropy(*given, mask=jnp.asarray(keep), **fields)
    assert_close(masked, each[keep].mean())


READINGS = [(r, d) for r in losses.REDUCTIONS for d in losses.DISTANCES]


@pytest.mark.parametrize(("reduction", "distance"), READINGS)
def test_center_and_island_loss(arrays, reduction, distance):
    _, features, labels, centers = arrays
    given = (jnp.asarray(features), jnp.asarray(labels), jnp.asarray(centers))
    how = {"reduction": reduction, "distance": distance}
    center = losses.center_loss(*given, **how)
    assert_close(center, reference.center_loss(features, labels, centers, **how))
    island = losses.island_loss(*given, pairwise_weight=0.7, **how)
    assert_close(island, reference.island_loss(features, labels, centers, 0.7, **how))
    x, c = np.float64(features), np.float64(centers)
    by_features = jax.grad(losses.center_loss)(*given, **how)
    expected = central_difference(lambda v: reference.center_loss(v, labels, c, **how), x)
    assert_close(by_features, expected)
    moved = losses.update_centers_by_gradient(given[2], *given[:2], 0.3, 0.7, **how)
    expected = central_difference(lambda v: reference.island_loss(x, labels, v, 0.7, **how), c)
    assert_close(moved, c - 0.3 * expected)


def test_element_is_half_of_a_mean_squared_error(arrays):
    _, features, labels, centers = arrays
    given = (jnp.asarray(features), jnp.asarray(labels), jnp.asarray(centers))
    expected = 0.5 * np.mean(np.square(np.float64(features) - centers[labels]))
    assert_close(losses.center_loss(*given, reduction="element"), expected)


def test_the_norm_has_no_gradient_at_a_centre(arrays):
    *_, centers = arrays
    labels = jnp.arange(K)
    value, gradient = jax.value_and_grad(losses.center_loss)(
        jnp.asarray(centers), labels, jnp.asarray(centers), distance="norm"
    )
    assert value == 0.0
    np.testing.assert_array_equal(gradient, np.zeros_like(centers))


def test_orthogonal_centers_give_exactly_42():
    centers = jnp.eye(K, D) * jnp.arange(1.0, K + 1)[:, None]
    assert losses.pairwise_cosine(centers) == 42.0
    features, labels = jnp.zeros((1, D)), jnp.zeros(1, jnp.int32)
    without = losses.island_loss(features, labels, centers, pairwise_weight=0.0)
    assert losses.island_loss(features, labels, centers, pairwise_weight=0.5) - without == 21.0


def test_equal_and_opposite_centers():
    same = jnp.ones((K, D))
    assert_close(losses.pairwise_cosine(same), 84.0)
    assert_close(losses.pairwise_cosine(jnp.stack([same[0], -same[0]])), 0.0)


@pytest.mark.parametrize("pairwise_weight", [0.0, 0.5, 10.0])
def test_center_update_rule(arrays, pairwise_weight):
    _, features, labels, centers = arrays
    actual = losses.update_centers(
        jnp.asarray(centers), jnp.asarray(features), jnp.asarray(labels), 0.5, pairwise_weight
    )
    expected = reference.update_centers_rule(centers, features, labels, 0.5, pairwise_weight)
    assert_close(actual, expected)


@pytest.mark.parametrize("pairwise_weight", [0.0, 0.5, 10.0])
def test_center_update_by_gradient(arrays, pairwise_weight):
    _, features, labels, centers = arrays
    actual = losses.update_centers_by_gradient(
        jnp.asarray(centers), jnp.asarray(features), jnp.asarray(labels), 0.3, pairwise_weight
    )
    expected = reference.update_centers_gradient(centers, features, labels, 0.3, pairwise_weight)
    assert_close(actual, expected)


def test_absent_class_moves_by_repulsion_alone(arrays):
    _, features, labels, centers = arrays
    given = (jnp.asarray(centers), jnp.asarray(features), jnp.asarray(labels))
    absent, present = np.array([2, 5]), np.array([0, 1, 3, 4, 6])
    still = np.asarray(losses.update_centers(*given, 0.5, 0.0))
    np.testing.assert_array_equal(still[absent], centers[absent])
    assert np.all(np.abs(still[present] - centers[present]).max(axis=1) > 1e-3)
    pushed = np.asarray(losses.update_centers(*given, 0.5, 0.5))
    assert np.all(np.abs(pushed[absent] - centers[absent]).max(axis=1) > 1e-4)


def central_difference(function, x, step=1e-5):
    """The gradient of a float64 NumPy function, entry by entry."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        shift = np.zeros_like(x)
        shift[index] = step
        gradient[index] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient


def test_autodiff_agrees_with_finite_differences(arrays):
    _, features, labels, centers = arrays
    x, c = np.float64(features), np.float64(centers)
    by_features, by_centers = jax.grad(losses.island_loss, argnums=(0, 2))(
        jnp.asarray(features), jnp.asarray(labels), jnp.asarray(centers), 0.5
    )
    expected = central_difference(lambda v: reference.island_loss(v, labels, c, 0.5), x)
    assert_close(by_features, expected)
    expected = central_difference(lambda v: reference.island_loss(x, labels, v, 0.5), c)
    assert_close(by_centers, expected)


def test_repulsion_is_half_the_gradient_of_the_ordered_sum(arrays):
    *_, centers = arrays
    c, nobody = jnp.asarray(centers), jnp.zeros((1, D))
    numeric = central_difference(reference.pairwise, np.float64(centers))
    # One example of class 0 at its own centre attracts nothing.
    labels = jnp.zeros(1, jnp.int32)
    moved = losses.update_centers(c, nobody + c[:1], labels, alpha=1.0, pairwise_weight=K - 1.0)
    assert_close(centers - np.asarray(moved), numeric / 2)


def test_zero_centers_are_safe(arrays):
    _, features, labels, centers = arrays
    for zeros in ([0], [0, 4], list(range(K))):
        c = centers.copy()
        c[zeros] = 0.0
        given = (jnp.asarray(features), jnp.asarray(labels), jnp.asarray(c))
        # A vector without direction is as good as orthogonal to every other.
        others = [k for k in range(K) if k not in zeros]
        pairs = K * (K - 1) - len(others) * (len(others) - 1)
        assert_close(losses.pairwise_cosine(given[2]), reference.pairwise(c[others]) + pairs)
        for gradient in jax.grad(losses.island_loss, argnums=(0, 2))(*given):
            assert np.all(np.isfinite(gradient))
        moved = losses.update_centers(given[2], given[0], given[1])
        assert np.all(np.isfinite(moved))
    still = losses.update_centers(jnp.zeros((K, D)), jnp.zeros((B, D)), given[1])
    np.testing.assert_array_equal(still, np.zeros((K, D)))


def test_no_gradient_flows_through_the_update(arrays):
    _, features, labels, centers = arrays
    for update in (losses.update_centers, losses.update_centers_by_gradient):
        gradients = jax.grad(
            lambda c, x, update=update: jnp.sum(jnp.sin(update(c, x, jnp.asarray(labels)))),
            argnums=(0, 1),
        )(jnp.asarray(centers), jnp.asarray(features))
        for gradient in gradients:
            np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


def test_moved_centers_are_those_of_the_rule_and_have_a_gradient(arrays):
    _, features, labels, centers = arrays
    given = (jnp.asarray(centers), jnp.asarray(features), jnp.asarray(labels))
    np.testing.assert_array_equal(
        losses.moved_centers(*given, 0.5), losses.update_centers(*given, 0.5, 0.0)
    )
    gradient = jax.grad(
        lambda x: losses.pairwise_cosine(losses.moved_centers(given[0], x, given[2], 0.5))
    )(given[1])

    def pairwise(x):
        return reference.pairwise(reference.update_centers_rule(centers, x, labels, 0.5, 0.0))

    assert np.abs(np.asarray(gradient)).max() > 1e-3
    assert_close(gradient, central_difference(pairwise, np.float64(features)))


@pytest.mark.parametrize("pairwise_on", ["centers", "features"])
def test_what_the_pairwise_term_of_an_objective_moves(arrays, pairwise_on):
    """On the centres it moves them alone; on the features the network alone."""
    logits, features, labels, centers = map(jnp.asarray, arrays)
    island = Objective("island", 1.0, 0.7, pairwise_on=pairwise_on)
    center = Objective("center", 1.0)

    def gradient(objective):
        return jax.grad(lambda x: objective.loss(logits, x, labels, centers)[0])(features)

    reaches_network = np.abs(np.asarray(gradient(island) - gradient(center))).max() > 1e-4
    moves_centers = np.any(
        np.asarray(island.update(centers, features, labels))
        != np.asarray(center.update(centers, features, labels))
    )
    assert (reaches_network, moves_centers) == (
        (False, True) if pairwise_on == "centers" else (True, False)
    )
