"""XLA's convolution, and other formulations of it for shapes that it runs slowly on TPUs.

Shapes: B batch, H W input map, h w output map, I input channels, O output channels, p q kernel.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

# Largest number of positions, and of channels, for a product with the matrix of all pairs of
# positions.
POSITIONS, CHANNELS = 256, 2


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
    """As `direct`, in the form that TPUs run fastest.

    If the map is smaller than the kernel, XLA exchanges the two, and reverses the kernel in memory:
    10 MB for 512 channels. Here map, kernel and result are rotated by 180 degrees, so that only the
    small maps are reversed in memory.
    """
    same = stride == 1 and kernel.shape[0] == kernel.shape[1] == 2 * padding + 1
    if same and images.shape[1] < kernel.shape[0] and kernel.shape[2] > CHANNELS:
        turned = lax.rev(images, (1, 2)), lax.rev(kernel, (0, 1))
        return lax.rev(direct(*turned, stride=1, padding=padding), (1, 2))
    return differentiable(images, kernel, stride=stride, padding=padding)


def differentiable(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """As `direct`, with gradients in the form that TPUs run fastest.

    A convolution of few channels and positions, as in a spatial gate, leaves most of a matrix unit
    idle, and its gradients more so. One product with the matrix of all pairs of positions computes
    many zeros, and still takes a fraction of the time.
    """
    _, height, width, i = images.shape
    p, q, _, o = kernel.shape
    same = stride == 1 and p == q == 2 * padding + 1
    if not same or height * width > POSITIONS or max(i, o) > CHANNELS:
        return direct(images, kernel, stride=stride, padding=padding)
    down, across = _bands(height, p, images.dtype), _bands(width, q, images.dtype)
    matrix = jnp.einsum(
        "Hhp,Wwq,pqio->iHWhwo", down, across, kernel, precision=lax.Precision.HIGHEST
    )
    rows = images.transpose(0, 3, 1, 2).reshape(images.shape[0], -1)
    y = rows @ matrix.reshape(i * height * width, height * width * o)
    return y.reshape(-1, height, width, o)


def _bands(size: int, window: int, dtype: jnp.dtype) -> Array:
    """[H, h, p]: 1 if tap p joins position H of the input and position h of the output, else 0."""
    at = jnp.arange(size)
    taps = jnp.arange(window) - window // 2
    return (at[:, None, None] == at[None, :, None] + taps[None, None, :]).astype(dtype)
