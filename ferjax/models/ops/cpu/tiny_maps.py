"""3x3 convolutions of stride 1 and padding 1 on maps of 1 to 2 pixels a side.

Most taps of most windows fall on padding there. Exactly one tap joins an input and an output pixel,
so one product for each pair of pixels is enough: 16 products on a 2x2 map, whose windows have 36
taps. The products read slices of the kernel without a transposition.

Shapes: B batch, H W map, I input channels, O output channels.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax


def convolve(images: Array, kernel: Array) -> Array:
    """Returns [B, H, W, O] of images [B, H, W, I] and kernel [3, 3, I, O]."""
    return _map_of_sums(images, kernel, sign=1, channel_axis=0)


def gradients(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """Returns the gradients of (images, kernel), given the output's gradient [B, H, W, O]."""
    _, height, width, i = images.shape
    pixels = _pixels(height, width)
    taps = []
    for row in (-1, 0, 1):
        for col in (-1, 0, 1):
            pairs = [(r + row, c + col, r, c) for r, c in pixels if (r + row, c + col) in pixels]
            if pairs:
                seen = jnp.concatenate([images[:, r, c] for r, c, _, _ in pairs])
                upstream = jnp.concatenate([gradient[:, r, c] for _, _, r, c in pairs])
                taps.append(lax.dot_general(seen, upstream, (((0,), (0,)), ((), ()))))
            else:
                taps.append(jnp.zeros((i, gradient.shape[3]), kernel.dtype))
    return (
        _map_of_sums(gradient, kernel, sign=-1, channel_axis=1),
        jnp.stack(taps).reshape(kernel.shape),
    )


def _map_of_sums(images: Array, kernel: Array, *, sign: int, channel_axis: int) -> Array:
    """Sums over input pixels; tap 1 + sign d joins an output and the input at offset d from it."""
    b, height, width, _ = images.shape
    pixels = _pixels(height, width)
    contract = (((1,), (channel_axis,)), ((), ()))
    outputs = []
    for row, col in pixels:
        total = sum(
            lax.dot_general(
                images[:, r, c], kernel[1 + sign * (r - row), 1 + sign * (c - col)], contract
            )
            for r, c in pixels
        )
        outputs.append(total)
    return jnp.stack(outputs, axis=1).reshape(b, height, width, -1)


def _pixels(height: int, width: int) -> list[tuple[int, int]]:
    return [(row, col) for row in range(height) for col in range(width)]
