"""XLA's convolution, and other formulations of the same sums where it costs TPUs too much.

Shapes: B batch, H W input map, h w output map, I input channels, O output channels, p q kernel.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

# Most places of a map, and most channels, for one product with the matrix of all pairs of places.
PLACES, CHANNELS = 256, 2


def direct(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """Returns the convolution [B, h, w, O] of images [B, H, W, I] and kernel [p, q, I, O]."""
    return lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(stride, stride),
        padding=((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def forward(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """As `direct`, as TPUs run it best.

    XLA exchanges map and kernel where the map is the smaller one, and so has to reverse the kernel,
    in memory: 10 MB for 512 channels. With map, kernel and result turned by 180 degrees the
    reversal falls on the small maps.
    """
    same = stride == 1 and kernel.shape[0] == kernel.shape[1] == 2 * padding + 1
    if same and images.shape[1] < kernel.shape[0] and kernel.shape[2] > CHANNELS:
        turned = lax.rev(images, (1, 2)), lax.rev(kernel, (0, 1))
        return lax.rev(direct(*turned, stride=1, padding=padding), (1, 2))
    return differentiable(images, kernel, stride=stride, padding=padding)


def differentiable(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """As `direct`, with gradients that TPUs run best.

    A convolution of so few channels and places as that of a spatial gate leaves most of a matrix
    unit idle, its gradients more so. One product with the matrix of all pairs of places computes
    many zeros, and still takes a fraction of the time.
    """
    _, height, width, i = images.shape
    p, q, _, o = kernel.shape
    same = stride == 1 and p == q == 2 * padding + 1
    if not same or height * width > PLACES or max(i, o) > CHANNELS:
        return direct(images, kernel, stride=stride, padding=padding)
    down, across = _bands(height, p, images.dtype), _bands(width, q, images.dtype)
    matrix = jnp.einsum(
        "Hhp,Wwq,pqio->iHWhwo", down, across, kernel, precision=lax.Precision.HIGHEST
    )
    rows = images.transpose(0, 3, 1, 2).reshape(images.shape[0], -1)
    y = rows @ matrix.reshape(i * height * width, height * width * o)
    return y.reshape(-1, height, width, o)


def _bands(size: int, window: int, dtype: jnp.dtype) -> Array:
    """1 where place H of the input meets place h of the output through tap p, [H, h, p]."""
    places = jnp.arange(size)
    taps = jnp.arange(window) - window // 2
    return (places[:, None, None] == places[None, :, None] + taps[None, None, :]).astype(dtype)
