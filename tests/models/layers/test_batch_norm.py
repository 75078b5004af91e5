"""Batch normalisation against NumPy, automatic differentiation and PyTorch's rule."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ferjax.models.layers.batch_norm import BatchNorm
from ferjax.models.ops.batch_norm import batch_norm, batch_norm_max_pool

EPSILON = 1e-5


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def plain(
    x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The same function, left to automatic differentiation."""
    rows = x.reshape(groups, -1, x.shape[-1])
    mean, var = jnp.mean(rows, axis=1), jnp.var(rows, axis=1)
    normal = (rows - mean[:, None, :]) / jnp.sqrt(var[:, None, :] + EPSILON)
    return (normal * scale + bias[None, None, :]).reshape(x.shape), mean, var


def assert_same(
    ours: Callable[..., tuple[jax.Array, ...]],
    theirs: Callable[..., tuple[jax.Array, ...]],
    weights: tuple[np.ndarray, ...],
    *arguments: np.ndarray,
) -> None:
    """Equal results, and gradients by every argument of the results' sum under these weights."""

    def objective(function, *arguments: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        results = function(*arguments)
        # Every result has a gradient of its own, so that no path hides behind a zero.
        total = sum(jnp.sum(w * r) for w, r in zip(weights, results, strict=True))
        return total, results

    grad = jax.grad(objective, argnums=tuple(range(1, 1 + len(arguments))), has_aux=True)
    gradients, results = grad(ours, *map(jnp.asarray, arguments))
    expected_gradients, expected_results = grad(theirs, *map(jnp.asarray, arguments))
    for actual, expected in zip(results, expected_results, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    for actual, expected in zip(gradients, expected_gradients, strict=True):
        scale_of = float(np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * scale_of)


@pytest.mark.parametrize("groups", [1, 2])
def test_function_and_gradients_of_all_three_results(groups: int) -> None:
    x, scale, bias = 2 * draw(0, 4, 5, 6, 7) + 3, draw(1, 7), draw(2, 7)
    weights = draw(3, 4, 5, 6, 7), draw(4, groups, 7), draw(5, groups, 7)
    shift = jnp.asarray(draw(6, 7))

    def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
        return batch_norm(x, scale, bias, shift=shift, epsilon=EPSILON, groups=groups)

    def theirs(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
        return plain(x, scale[None, None, :], bias, groups)

    assert_same(ours, theirs, weights, x, scale, bias)


def test_the_shift_decides_the_rounding_and_nothing_else() -> None:
    x = jnp.asarray(1000 + draw(0, 64, 4, 4, 3))
    exact = np.asarray(x, np.float64).reshape(-1, 3)
    errors = []
    for shift in (0.0, 900.0, 1003.0):
        _, mean, var = batch_norm(
            x, jnp.ones(3), jnp.zeros(3), shift=jnp.full(3, shift), epsilon=EPSILON
        )
        np.testing.assert_allclose(mean[0], exact.mean(0), rtol=1e-6)
        errors.append(float(np.abs(var[0] / exact.var(0) - 1).max()))
    # 1 + (mean - shift)^2 / variance roundings: a million, ten thousand and ten.
    assert errors[0] < 1 and errors[1] < 1e-2 and errors[2] < 2e-5, errors
    assert errors[2] < errors[1] < errors[0]


def test_running_means_are_the_shift() -> None:
    # A constant as far from 0 as float32 allows has no variance left to compute without a shift.
    x = jnp.asarray(4096 + draw(0, 16, 4, 4, 2))
    norm = BatchNorm(2)
    norm.mean[...] = jnp.full(2, 4096.0)
    y = norm(x)
    rows = np.asarray(x, np.float64).reshape(-1, 2)
    expected = (rows - rows.mean(0)) / np.sqrt(rows.var(0) + EPSILON)
    np.testing.assert_allclose(np.asarray(y).reshape(-1, 2), expected, atol=2e-3)


def pooled(y: jax.Array) -> jax.Array:
    """Maxima of 3x3 windows every 2 pixels, left to automatic differentiation."""
    pads = ((0, 0), (1, 1), (1, 1), (0, 0))
    return jax.lax.reduce_window(y, -float("inf"), jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), pads)


@pytest.mark.parametrize("groups", [1, 2])
def test_maxima_of_what_is_normalised(groups: int) -> None:
    x, scale, bias = 2 * draw(0, 4, 6, 8, 5) + 3, draw(1, 5), draw(2, 5)
    assert (scale > 0).any() and (scale < 0).any()
    weights = draw(3, 4, 3, 4, 5), draw(4, groups, 5), draw(5, groups, 5)
    shift = jnp.full(5, 2.5)

    def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
        return batch_norm_max_pool(x, scale, bias, shift=shift, epsilon=EPSILON, groups=groups)

    def theirs(x: jax.Array, scale: jax.Array, bias: jax.Array) -> tuple[jax.Array, ...]:
        y, mean, var = plain(x, scale[None, None, :], bias, groups)
        return pooled(y), mean, var

    assert_same(ours, theirs, weights, x, scale, bias)


@pytest.mark.parametrize("training", [True, False])
def test_max_pool_of_the_layer_is_that_of_its_result(training: bool) -> None:
    x, scale = jnp.asarray(draw(0, 4, 6, 6, 5), jnp.bfloat16), jnp.asarray(draw(1, 5))
    first, second = BatchNorm(5), BatchNorm(5)
    for norm in (first, second):
        norm.scale[...], norm.bias[...] = scale, 2 * scale + 1
        norm.set_attributes(use_running_average=not training)
    np.testing.assert_array_equal(
        first.max_pool(x, window=3, stride=2, padding=1).astype(jnp.float32),
        pooled(second(x)).astype(jnp.float32),
    )
    np.testing.assert_array_equal(first.mean[...], second.mean[...])
    np.testing.assert_array_equal(first.var[...], second.var[...])


def test_running_statistics_follow_pytorchs_rule() -> None:
    x = 3 * draw(0, 6, 2, 2, 4) + 1
    norm = BatchNorm(4, momentum=0.8)
    norm(jnp.asarray(x))
    rows = x.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(norm.mean[...], 0.2 * rows.mean(0), rtol=1e-5)
    # The variance that normalises is biased, the running one is not.
    np.testing.assert_allclose(norm.var[...], 0.8 + 0.2 * rows.var(0, ddof=1), rtol=1e-5)


def test_each_group_is_normalised_alone() -> None:
    x = np.concatenate([draw(0, 3, 2, 2, 4), 5 + 2 * draw(1, 3, 2, 2, 4)])
    norm, first, second = BatchNorm(4, groups=2), BatchNorm(4), BatchNorm(4)
    y = norm(jnp.asarray(x))
    parts = [first(jnp.asarray(x[:3])), second(jnp.asarray(x[3:]))]
    np.testing.assert_allclose(y, np.concatenate(parts), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.var[...], (first.var[...] + second.var[...]) / 2, rtol=1e-5)
    np.testing.assert_allclose(norm.mean[...], (first.mean[...] + second.mean[...]) / 2, rtol=1e-5)


def test_evaluation_uses_and_keeps_the_running_statistics() -> None:
    x, mean, var, scale, bias = draw(0, 3, 2, 2, 4), *(np.abs(draw(i, 4)) + 0.1 for i in range(4))
    norm = BatchNorm(4)
    norm.mean[...], norm.var[...] = jnp.asarray(mean), jnp.asarray(var)
    norm.scale[...], norm.bias[...] = jnp.asarray(scale), jnp.asarray(bias)
    norm.eval()
    expected = (x - mean) / np.sqrt(var + EPSILON) * scale + bias
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], mean)
    norm.train()
    norm(jnp.asarray(x))
    assert not np.array_equal(norm.mean[...], mean)


def test_bfloat16_keeps_float32_statistics() -> None:
    # A mean that bfloat16 would round by 0.5: in bfloat16 arithmetic the variance is lost.
    x = jnp.asarray(100 + draw(0, 64, 4, 4, 3), jnp.bfloat16)
    shift = jnp.full(3, 98.0)
    y, mean, var = batch_norm(x, jnp.ones(3), jnp.zeros(3), shift=shift, epsilon=EPSILON, groups=1)
    assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    exact = np.asarray(x, np.float64).reshape(-1, 3)
    np.testing.assert_allclose(mean[0], exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(var[0], exact.var(0), rtol=1e-4)


def test_a_batch_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="batch of 5 does not divide into 2 groups"):
        BatchNorm(3, groups=2)(jnp.zeros((5, 2, 2, 3)))


def test_parameters_and_statistics_are_told_apart() -> None:
    norm = BatchNorm(3, initial_scale=0.0)
    _, params, statistics = nnx.split(norm, nnx.Param, nnx.BatchStat)
    assert set(params) == {"scale", "bias"} and set(statistics) == {"mean", "var"}
    np.testing.assert_array_equal(norm.scale[...], np.zeros(3))
