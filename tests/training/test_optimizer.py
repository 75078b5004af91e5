"""Schedules and the optimizer chain, against PyTorch's rules written out in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.training import optimizer as optim

PARAMS = {"conv": {"kernel": jnp.full((2, 3), 0.5)}, "bn": {"scale": jnp.full((3,), 2.0)}}


def run(optimizer, gradients):
    params, state = PARAMS, optimizer.init(PARAMS)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = {
            name: {leaf: value + updates[name][leaf] for leaf, value in group.items()}
            for name, group in params.items()
        }
    return params


def gradients(count):
    rng = np.random.default_rng(0)
    return [
        {
            "conv": {"kernel": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)},
            "bn": {"scale": jnp.asarray(rng.normal(size=3), jnp.float32)},
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_pytorchs_with_decay_on_kernels_alone(nesterov):
    steps = gradients(4)
    sgd = optim.optimizer(
        "sgd", learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.01
    )
    params = run(sgd, steps)
    for (group, leaf), decay in ((("conv", "kernel"), 0.01), (("bn", "scale"), 0.0)):
        value = np.asarray(PARAMS[group][leaf], np.float64)
        buffer = np.zeros_like(value)
        for step in steps:
            gradient = np.asarray(step[group][leaf], np.float64) + decay * value
            buffer = 0.9 * buffer + gradient
            value = value - 0.1 * (gradient + 0.9 * buffer if nesterov else buffer)
        np.testing.assert_allclose(params[group][leaf], value, rtol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
def test_adam_adds_the_decay_to_the_gradient(epsilon):
    steps = gradients(3)
    adam = optim.optimizer("adam", learning_rate=0.01, weight_decay=0.1, epsilon=epsilon)
    params = run(adam, steps)
    value = np.asarray(PARAMS["conv"]["kernel"], np.float64)
    first, second = np.zeros_like(value), np.zeros_like(value)
    for count, step in enumerate(steps, start=1):
        gradient = np.asarray(step["conv"]["kernel"], np.float64) + 0.1 * value
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**count), second / (1 - 0.999**count)
        value = value - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + epsilon)
    np.testing.assert_allclose(params["conv"]["kernel"], value, rtol=1e-5)


def test_radam_is_pytorchs():
    """Liu et al. 2020, algorithm 2, with PyTorch's threshold: rectified once rho_t > 5."""
    steps = gradients(9)
    params = run(optim.optimizer("radam", learning_rate=0.01, weight_decay=0.1), steps)
    value = np.asarray(PARAMS["conv"]["kernel"], np.float64)
    first, second = np.zeros_like(value), np.zeros_like(value)
    longest, rectified = 2 / (1 - 0.999) - 1, 0
    for count, step in enumerate(steps, start=1):
        gradient = np.asarray(step["conv"]["kernel"], np.float64) + 0.1 * value
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        mean = first / (1 - 0.9**count)
        rho = longest - 2 * count * 0.999**count / (1 - 0.999**count)
        if rho > 5:
            rectified += 1
            ratio = (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
            deviation = np.sqrt(second / (1 - 0.999**count))
            value = value - 0.01 * np.sqrt(ratio) * mean / (deviation + 1e-8)
        else:
            value = value - 0.01 * mean
    assert 0 < rectified < 9
    # optax finds rho in float32, where 1 - 0.999^t keeps five digits in the first steps.
    np.testing.assert_allclose(params["conv"]["kernel"], value, rtol=5e-5)


def test_clipping_bounds_the_gradient_before_decay():
    big = [{"conv": {"kernel": jnp.full((2, 3), 30.0)}, "bn": {"scale": jnp.full((3,), 40.0)}}]
    norm = np.sqrt(6 * 30.0**2 + 3 * 40.0**2)
    clipped = optim.optimizer("sgd", learning_rate=1.0, weight_decay=0.1, clip_norm=1.0)
    params = run(clipped, big)
    np.testing.assert_allclose(params["conv"]["kernel"], 0.5 - 30.0 / norm - 0.05, rtol=1e-5)
    np.testing.assert_allclose(params["bn"]["scale"], 2.0 - 40.0 / norm, rtol=1e-5)


def test_warm_up_then_cosine():
    schedule = optim.learning_rate_schedule("cosine", peak=0.4, num_steps=110, warmup_steps=10)
    np.testing.assert_allclose(
        [schedule(step) for step in (0, 1, 4, 9, 10, 60, 110)],
        [0.04, 0.08, 0.2, 0.4, 0.4, 0.2, 0.0],
        atol=1e-6,
    )


def test_the_first_update_of_a_warm_up_moves_the_weights():
    schedule = optim.learning_rate_schedule("constant", peak=0.4, num_steps=9, warmup_steps=4)
    np.testing.assert_allclose([schedule(step) for step in range(6)], [0.1, 0.2, 0.3] + [0.4] * 3)
    (gradient,) = gradients(1)
    params = run(optim.optimizer("sgd", learning_rate=schedule), [gradient])
    moved = params["bn"]["scale"] - PARAMS["bn"]["scale"]
    np.testing.assert_allclose(moved, -0.1 * np.asarray(gradient["bn"]["scale"]), rtol=1e-4)


def test_constant():
    schedule = optim.learning_rate_schedule("constant", peak=0.4, num_steps=10)
    assert [float(schedule(step)) for step in (0, 9)] == pytest.approx([0.4, 0.4])


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(UserError, match="warm-up of 5 steps is not shorter than the run of 5"):
        optim.learning_rate_schedule("cosine", peak=1.0, num_steps=5, warmup_steps=5)


def test_other_names_are_refused():
    with pytest.raises(ValueError, match="'cosin'"):
        optim.learning_rate_schedule("cosin", peak=1.0, num_steps=5)
    with pytest.raises(ValueError, match="'sdg'"):
        optim.optimizer("sdg", learning_rate=1.0)
