"""The CPU's convolutions and max-pooling against XLA's own, which other platforms keep."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from ferjax.models.ops.convolution import conv2d, max_pool
from ferjax.models.ops.cpu import convolution, winograd

# map, kernel, stride, padding, input and output channels, and the batch if it is not 3: every way
# the CPU computes them
CASES = {
    "winograd 24": (24, 3, 1, 1, 64, 32),
    "winograd 7, not a multiple of three": (7, 3, 1, 1, 32, 48),
    "winograd 3": (3, 3, 1, 1, 64, 64, 16),
    "too few tiles for winograd": (3, 3, 1, 1, 64, 64, 15),
    "tiny 2": (2, 3, 1, 1, 32, 16),
    "tiny 1": (1, 3, 1, 1, 16, 32),
    "narrow 6": (6, 3, 1, 1, 8, 16),
    "half stem": (48, 3, 2, 1, 1, 8),
    "small stem, colour": (24, 3, 1, 1, 3, 8),
    "imagenet stem": (24, 7, 2, 3, 1, 8),
    "imagenet stem, odd, colour": (23, 7, 2, 3, 3, 8),
    "spatial gate": (6, 7, 1, 3, 2, 1),
    "stride 2 from 12": (12, 3, 2, 1, 16, 24),
    "stride 2 from 3": (3, 3, 2, 1, 16, 24),
    "stride 2 from 1": (1, 3, 2, 1, 16, 24),
    "shortcut from 12": (12, 1, 2, 0, 16, 24),
    "shortcut from 3": (3, 1, 2, 0, 16, 24),
    "one by one": (6, 1, 1, 0, 16, 24),
    "no padding": (5, 3, 1, 0, 16, 8),
}


def reference(images: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


def draw(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def assert_close(actual: jax.Array, expected: jax.Array, tolerance: float = 1e-5) -> None:
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    scale = float(jnp.max(jnp.abs(expected)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_convolution_and_its_gradients(case: tuple[int, ...]) -> None:
    size, window, stride, padding, i, o, *given = case
    (batch,) = given or (3,)
    images, kernel = draw(0, batch, size, size, i), draw(1, window, window, i, o)

    @jax.jit
    def both(images: jax.Array, kernel: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        expected, expected_vjp = jax.vjp(
            lambda x, k: reference(x, k, stride, padding), images, kernel
        )
        actual, actual_vjp = jax.vjp(
            lambda x, k: conv2d(x, k, stride=stride, padding=padding), images, kernel
        )
        gradient = jnp.cos(jnp.arange(expected.size, dtype=jnp.float32)).reshape(expected.shape)
        pairs = zip(actual_vjp(gradient), expected_vjp(gradient), strict=True)
        return [(actual, expected), *pairs]

    for actual, expected in both(images, kernel):
        assert_close(actual, expected)


def test_winograd_is_for_wide_maps_of_many_tiles() -> None:
    def suits(batch: int, size: int, *channels: int) -> bool:
        shapes = (batch, size, size, channels[0]), (3, 3, *channels)
        return convolution._suits_winograd(*shapes, 1, 1)

    assert suits(1, 12, 32, 32) and not suits(1, 9, 32, 32)
    assert suits(16, 3, 64, 64) and not suits(15, 3, 64, 64)
    assert not suits(100, 12, 31, 64)


@pytest.mark.parametrize(("batch", "parts"), [(12, 3), (10, 5), (9, None)])
def test_a_batch_in_parts_that_fit_in_a_cache(
    monkeypatch: pytest.MonkeyPatch, batch: int, parts: int | None
) -> None:
    images, kernel = draw(0, batch, 6, 6, 32), draw(1, 3, 3, 32, 32)
    tiles = 25 * 4 * 32 * 4  # bytes of one image's
    monkeypatch.setattr(winograd, "CACHE", 6 * tiles)
    assert winograd._images_at_once(images) == (parts and batch // parts)
    gradient = draw(2, *images.shape)
    actual, vjp = jax.vjp(lambda x, k: conv2d(x, k, stride=1, padding=1), images, kernel)
    expected, right = jax.vjp(lambda x, k: reference(x, k, 1, 1), images, kernel)
    pairs = zip((actual, *vjp(gradient)), (expected, *right(gradient)), strict=True)
    for found, wanted in pairs:
        assert_close(found, wanted)


@pytest.mark.parametrize("channels", [(32, 32), (1, 8), (16, 24)], ids=str)
def test_a_batch_of_a_symbolic_size(channels: tuple[int, int]) -> None:
    (batch,) = export.symbolic_shape("b")
    kernel = draw(1, 3, 3, *channels)
    conv = jax.jit(lambda x: conv2d(x, kernel, stride=1, padding=1))
    shape = (batch, 6, 6, channels[0])
    program = export.export(conv)(jax.ShapeDtypeStruct(shape, jnp.float32))
    images = draw(0, 3, 6, 6, channels[0])
    assert_close(program.call(images), reference(images, kernel, 1, 1))


def test_maps_that_are_not_square() -> None:
    images, kernel = draw(0, 2, 9, 4, 32), draw(1, 3, 3, 32, 32)
    assert_close(conv2d(images, kernel, stride=1, padding=1), reference(images, kernel, 1, 1))
    images = draw(0, 2, 2, 1, 32)
    assert_close(conv2d(images, kernel, stride=1, padding=1), reference(images, kernel, 1, 1))


def test_bfloat16_in_bfloat16_out() -> None:
    images, kernel = draw(0, 2, 6, 6, 32), draw(1, 3, 3, 32, 32)
    low = conv2d(images.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), stride=1, padding=1)
    assert low.dtype == jnp.bfloat16
    assert_close(low.astype(jnp.float32), reference(images, kernel, 1, 1), tolerance=2e-2)


def numpy_max_pool(images: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """3x3 windows, stride 2, padding 1; the first of equal maxima takes the gradient."""
    _, height, width, _ = images.shape
    result, back = np.empty_like(gradient), np.zeros_like(images)
    for n, row, col, channel in np.ndindex(*gradient.shape):
        places = [
            (r, s)
            for r in range(2 * row - 1, 2 * row + 2)
            for s in range(2 * col - 1, 2 * col + 2)
            if 0 <= r < height and 0 <= s < width
        ]
        first = max(places, key=lambda place: images[n, place[0], place[1], channel])
        result[n, row, col, channel] = images[n, first[0], first[1], channel]
        back[n, first[0], first[1], channel] += gradient[n, row, col, channel]
    return result, back


@pytest.mark.parametrize("size", [1, 2, 3, 7, 12])
def test_max_pool_gives_the_first_of_equal_maxima_the_gradient(size: int) -> None:
    rng = np.random.default_rng(size)
    # Small integers after a ReLU: nearly every window holds ties, many of them zeros.
    images = np.maximum(rng.integers(-3, 3, (2, size, size, 3)), 0).astype(np.float32)
    half = (size + 1) // 2
    gradient = rng.integers(-9, 9, (2, half, half, 3)).astype(np.float32)
    result, vjp = jax.vjp(max_pool, jnp.asarray(images))
    expected, expected_gradient = numpy_max_pool(images, gradient)
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(vjp(jnp.asarray(gradient))[0], expected_gradient)


def test_negative_images_do_not_lose_to_the_padding() -> None:
    images = -1 - jnp.abs(draw(0, 1, 5, 5, 2))
    assert float(jnp.max(max_pool(images))) < 0


def traced() -> jax.stages.Traced:
    def loss(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(max_pool(conv2d(images, kernel, stride=1, padding=1)))

    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    images = jax.ShapeDtypeStruct((4, 6, 6, 32), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 32, 32), jnp.float32)
    return step.trace(images, kernel)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_other_platforms_keep_xlas_own_operations(platform: str) -> None:
    text = traced().lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.convolution") == 3  # the output and two gradients
    assert "stablehlo.reduce_window" in text and "stablehlo.select_and_scatter" in text
    assert "stablehlo.dot_general" not in text
    # What is left of the choice is a case on a constant, which XLA folds (see below).
    assert all(" = stablehlo.constant" in line for line in definitions_of_outer_cases(text))


def definitions_of_outer_cases(text: str) -> list[str]:
    """The lines that define the indices of cases, but for cases on the result of another."""
    cases = dict(re.findall(r"(%\w+)(?::\d+)? = \"stablehlo.case\"\((%\w+)\)", text))
    outer = [index for index in cases.values() if index not in cases]
    assert outer
    return [line for line in text.splitlines() for i in outer if line.strip().startswith(f"{i} =")]


def test_the_cpu_has_none_of_them_and_no_branch() -> None:
    lowered = traced().lower()
    text = lowered.as_text()
    assert "stablehlo.convolution" not in text and "select_and_scatter" not in text
    assert "stablehlo.dot_general" in text
    assert " conditional(" not in lowered.compile().as_text()
