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
    "gate of many places": (17, 7, 2, 1, 1),
    "map below the kernel": (2, 3, 5, 4, 1),
    "one pixel": (1, 3, 5, 4, 1),
    "usual": (5, 3, 5, 4, 1),
    "strided": (5, 3, 2, 1, 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("function", [tpu_convolution.forward, tpu_convolution.differentiable])
def test_formulations_equal_the_direct_sum(case: str, function) -> None:
    size, window, inputs, outputs, stride = CASES[case]
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.standard_normal((3, size, size + 1, inputs)), jnp.float32)
    kernel = jnp.asarray(rng.standard_normal((window, window, inputs, outputs)), jnp.float32)
    results = []
    for conv in (function, tpu_convolution.direct):
        y, vjp = jax.vjp(
            lambda x, k, conv=conv: conv(x, k, stride=stride, padding=window // 2), images, kernel
        )
        upstream = np.random.default_rng(1).standard_normal(y.shape)
        results.append((y, *vjp(jnp.asarray(upstream, jnp.float32))))
    for actual, expected in zip(*results, strict=True):
        assert actual.shape == expected.shape
        largest = float(np.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * largest)


def products(function, size: int, window: int, channels: tuple[int, int]) -> str:
    images = jnp.zeros((2, size, size, channels[0]))
    kernel = jnp.zeros((window, window, *channels))
    conv = jax.make_jaxpr(lambda x, k: function(x, k, stride=1, padding=window // 2))
    return str(conv(images, kernel))


def test_each_formulation_is_for_its_own_shapes() -> None:
    forward = tpu_convolution.forward
    gate = products(forward, 12, 7, (2, 1))
    assert "dot_general" in gate and "conv_general_dilated" not in gate
    small = products(forward, 2, 3, (8, 8))
    assert small.count("rev[") == 3 and "conv_general_dilated" in small
    for size, window, channels in ((17, 7, (2, 1)), (3, 3, (8, 8)), (48, 7, (2, 1))):
        usual = products(forward, size, window, channels)
        assert "dot_general" not in usual and "rev[" not in usual
