"""The TPU's formulations of a convolution against the direct one, which any platform can run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.models.ops import tpu_convolution

# map, kernel, input and output channels, stride: a gate's, a last stage's, and some of neither kind
CASES = {
    "gate": (6, 7, 2, 1, 1),
    "gate of few places": (2, 7, 2, 1, 1),
    "gate of two maps": (17, 7, 2, 2, 1),
    "map below the kernel": (2, 3, 5, 4, 1),
    "one pixel": (1, 3, 5, 4, 1),
    "usual": (5, 3, 5, 4, 1),
    "strided": (5, 3, 2, 1, 2),
    "shortcut": (24, 1, 5, 4, 2),
    "shortcut of an odd map": (25, 1, 5, 4, 3),
    "shortcut of a small map": (6, 1, 5, 4, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_formulations_equal_the_direct_sum(case: str) -> None:
    size, window, inputs, outputs, stride = CASES[case]
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((3, size, size + 1, inputs)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((window, window, inputs, outputs)), jnp.float32)
    options = {"stride": stride, "padding": window // 2}

    def direct(images: jax.Array, kernel: jax.Array) -> jax.Array:
        return tpu_convolution.direct(images, kernel, **options)

    expected, vjp = jax.vjp(direct, images, kernel)
    upstream = jnp.asarray(np.random.default_rng(1).standard_normal(expected.shape), jnp.float32)
    pairs = [
        (function(images, kernel, **options), expected)
        for function in (tpu_convolution.forward, tpu_convolution.differentiable)
    ]
    found = tpu_convolution.gradients(images, kernel, upstream, **options)
    for actual, right in (*pairs, *zip(found, vjp(upstream), strict=True)):
        assert actual.shape == right.shape
        largest = float(np.abs(right).max())
        np.testing.assert_allclose(actual, right, rtol=0, atol=2e-6 * largest)


def convolutions(function, size: int, window: int, channels: tuple[int, int]) -> str:
    images = jnp.zeros((2, size, size, channels[0]))
    kernel = jnp.zeros((window, window, *channels))
    conv = jax.make_jaxpr(lambda x, k: function(x, k, stride=1, padding=window // 2))
    return str(conv(images, kernel))


def test_each_formulation_is_for_its_own_shapes() -> None:
    forward = tpu_convolution.forward
    for size in (12, 48):
        gate = convolutions(forward, size, 7, (2, 1))
        assert "dot_general" in gate and "window_strides=(1,)" in gate
    small = convolutions(forward, 2, 3, (8, 8))
    assert small.count("rev[") == 3 and "conv_general_dilated" in small
    for size, window, channels in ((17, 7, (3, 1)), (3, 3, (8, 8)), (257, 7, (2, 1))):
        usual = convolutions(forward, size, window, channels)
        assert "dot_general" not in usual and "rev[" not in usual


@pytest.mark.parametrize(
    ("size", "channels", "is_sliced"), [(24, 255, True), (23, 255, False), (24, 256, False)]
)
def test_large_maps_of_few_channels_are_sliced_before_a_shortcut(size, channels, is_sliced) -> None:
    images, kernel = jnp.zeros((1, size, size, channels)), jnp.zeros((1, 1, channels, 2))
    conv = jax.make_jaxpr(lambda x, k: tpu_convolution.forward(x, k, stride=2, padding=0))
    assert ("window_strides=(1, 1)" in str(conv(images, kernel))) == is_sliced
