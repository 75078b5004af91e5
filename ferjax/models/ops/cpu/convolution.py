"""Convolution, its gradients and max-pooling as matrix products and slices that CPUs run well.

A 3x3 convolution of stride 1 is Winograd's F(3x3, 3x3): 25 products per 9 outputs instead of 81
(winograd.py). Everything else is a product over shifted slices. Half-precision inputs are computed
in float32, which CPUs do faster.

Training steps of 128 images of FER2013, ResNet-18 + CBAM, float32, in images/s, on two cores of an
AMD EPYC with AVX-512 (jax 0.10.2, 2026-11-27; `python -m tests.measure.cpu_convolutions`):

    half stem, width 36    127.6, without Winograd 88.4, with XLA's convolution and pooling 78.1
    stem=imagenet          240.3, with XLA's convolution and pooling 16.5

Shapes: B batch, H W input map, h w output map, I input channels, O output channels, p q kernel.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from ferjax.models.ops.cpu import winograd

# With fewer input channels a product per tap is too thin, and all taps join in one product.
THIN = 8
# Winograd saves products, but adds transforms and compile time; from this width on it is faster.
WIDE = 32
# With fewer tiles, in a map of one image, transforming the kernels takes longer than it saves.
FEWEST_TILES = 16


def forward(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """Returns the convolution [B, h, w, O] of images [B, H, W, I] and kernel [p, q, I, O]."""
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    y = _forward(images.astype(dtype), kernel.astype(dtype), stride, padding)
    return y.astype(images.dtype)


def gradients(
    images: Array, kernel: Array, gradient: Array, *, stride: int, padding: int
) -> tuple[Array, Array]:
    """Returns the gradients of (images, kernel), given the output's gradient [B, h, w, O]."""
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    x, k, g = (array.astype(dtype) for array in (images, kernel, gradient))
    if _suits_winograd(x.shape, k.shape, stride, padding):
        x_gradient = winograd.input_gradient(k, g)
        k_gradient = winograd.kernel_gradient(x, g)
    else:
        x_gradient = _input_gradient(x.shape, k, g, stride, padding)
        k_gradient = _kernel_gradient(x, k.shape, g, stride, padding)
    return x_gradient.astype(images.dtype), k_gradient.astype(kernel.dtype)


def _forward(images: Array, kernel: Array, stride: int, padding: int) -> Array:
    if _suits_winograd(images.shape, kernel.shape, stride, padding):
        return winograd.convolve(images, kernel)
    p, q, i, o = kernel.shape
    if i < THIN:
        rows, (b, h, w) = _tap_rows(images, p, q, stride, padding)
        flat = kernel.swapaxes(0, 1).reshape(q * p * i, o)
        return lax.dot_general(rows, flat, (((0,), (0,)), ((), ()))).reshape(b, h, w, o)
    columns, (b, h, w) = _tap_columns(images, p, q, stride, padding)
    return (columns @ kernel.reshape(p * q * i, o)).reshape(b, h, w, o)


def _suits_winograd(
    images_shape: tuple[Any, ...], kernel_shape: tuple[int, ...], stride: int, padding: int
) -> bool:
    b, h, w, _ = images_shape  # sizes may be symbolic
    wide = min(kernel_shape[2:]) >= WIDE
    fits = kernel_shape[:2] == (3, 3) and stride == padding == 1 and min(h, w) > 2
    few = isinstance(b, int) and winograd.tiles(b, h, w) < FEWEST_TILES
    return wide and fits and not few


def _output_size(size: int, window: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - window) // stride + 1


def _pad(images: Array, padding: int, value: float = 0.0) -> Array:
    if padding == 0:
        return images
    pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return jnp.pad(images, pads, constant_values=value)


def _taps(padded: Array, p: int, q: int, stride: int, h: int, w: int) -> list[Array]:
    """Returns p * q arrays [B, h, w, C], the inputs at each position of the window."""
    b, _, _, c = padded.shape
    return [
        lax.slice(
            padded,
            (0, i, j, 0),
            (b, i + stride * (h - 1) + 1, j + stride * (w - 1) + 1, c),
            (1, stride, stride, 1),
        )
        for i in range(p)
        for j in range(q)
    ]


def _tap_columns(
    images: Array, p: int, q: int, stride: int, padding: int
) -> tuple[Array, tuple[Any, int, int]]:
    """Returns the patches as [B h w, p q I] and (B, h, w)."""
    b, height, width, i = images.shape
    h = _output_size(height, p, stride, padding)
    w = _output_size(width, q, stride, padding)
    taps = _taps(_pad(images, padding), p, q, stride, h, w)
    return jnp.concatenate([tap.reshape(b * h * w, i) for tap in taps], axis=1), (b, h, w)


def _tap_rows(
    images: Array, p: int, q: int, stride: int, padding: int
) -> tuple[Array, tuple[Any, int, int]]:
    """Returns the patches as [q p I, B h w] and (B, h, w); every row is written contiguously.

    Rows are shifted first, then columns: p + q slices compile far faster than p q of them.
    """
    b, height, width, i = images.shape
    h = _output_size(height, p, stride, padding)
    w = _output_size(width, q, stride, padding)
    padded = _pad(images, padding).transpose(3, 0, 1, 2)
    down = jnp.stack([padded[:, :, r : r + stride * (h - 1) + 1 : stride] for r in range(p)])
    across = jnp.stack([down[..., c : c + stride * (w - 1) + 1 : stride] for c in range(q)])
    return across.reshape(q * p * i, b * h * w), (b, h, w)


def _kernel_gradient(
    images: Array, kernel_shape: tuple[int, ...], gradient: Array, stride: int, padding: int
) -> Array:
    p, q, i, o = kernel_shape
    flat = gradient.reshape(-1, o)
    if i < THIN:
        rows, _ = _tap_rows(images, p, q, stride, padding)
        return (rows @ flat).reshape(q, p, i, o).swapaxes(0, 1)
    columns, _ = _tap_columns(images, p, q, stride, padding)
    return lax.dot_general(columns, flat, (((0,), (0,)), ((), ()))).reshape(p, q, i, o)


def _input_gradient(
    shape: tuple[int, ...], kernel: Array, gradient: Array, stride: int, padding: int
) -> Array:
    if stride == 1 and padding < kernel.shape[0]:
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        return _forward(gradient, turned, 1, kernel.shape[0] - 1 - padding)
    return _strided_input_gradient(shape, kernel, gradient, stride, padding)


def _strided_input_gradient(
    shape: tuple[int, ...], kernel: Array, gradient: Array, stride: int, padding: int
) -> Array:
    """One convolution, with taps of its own, for each residue of the pixels modulo the stride."""
    b, height, width, i = shape
    p, q, _, o = kernel.shape
    _, h, w, _ = gradient.shape
    # Pixels of the padded input per residue, enough for every tap and every input pixel.
    rows = max(h + (p - 1) // stride, -(-(height + padding) // stride))
    cols = max(w + (q - 1) // stride, -(-(width + padding) // stride))
    before_h, before_w = (p - 1) // stride, (q - 1) // stride
    padded = jnp.pad(gradient, ((0, 0), (before_h, rows - h), (before_w, cols - w), (0, 0)))

    def residue(row: int, col: int) -> Array:
        taps = [
            (s, t)
            for s in range(before_h + 1)
            for t in range(before_w + 1)
            if row + s * stride < p and col + t * stride < q
        ]
        if not taps:
            return jnp.zeros((b, rows, cols, i), gradient.dtype)
        seen = [
            padded[:, before_h - s : before_h - s + rows, before_w - t : before_w - t + cols]
            for s, t in taps
        ]
        columns = jnp.concatenate([tap.reshape(b * rows * cols, o) for tap in seen], axis=1)
        weights = jnp.concatenate(
            [kernel[row + s * stride, col + t * stride].T for s, t in taps], axis=0
        )
        return (columns @ weights).reshape(b, rows, cols, i)

    return interleave([[residue(a, c) for c in range(stride)] for a in range(stride)])[
        :, padding : padding + height, padding : padding + width
    ]


def interleave(parts: list[list[Array]]) -> Array:
    """Returns the map whose pixel (n r + a, n c + d) is pixel (r, c) of part [a][d] of n by n."""
    b, rows, cols, c = parts[0][0].shape
    n = len(parts)
    lines = [jnp.stack(line, axis=3) for line in parts]
    return jnp.stack(lines, axis=2).reshape(b, n * rows, n * cols, c)


def max_pool(images: Array, *, window: int, stride: int, padding: int) -> Array:
    """Returns the maxima [B, h, w, C] of windows of images [B, H, W, C]."""
    taps = _pool_taps(images, window, stride, padding)
    best = taps[0]
    for tap in taps[1:]:
        best = jnp.maximum(best, tap)
    return best


def _pool_taps(images: Array, window: int, stride: int, padding: int) -> list[Array]:
    _, height, width, _ = images.shape
    h = _output_size(height, window, stride, padding)
    w = _output_size(width, window, stride, padding)
    return _taps(_pad(images, padding, -jnp.inf), window, window, stride, h, w)


def max_pool_gradient(
    images: Array, gradient: Array, *, window: int, stride: int, padding: int
) -> Array:
    """Returns the gradient of images; the first of equal maxima, row by row, takes all of it."""
    taps = _pool_taps(images, window, stride, padding)
    best, first = taps[0], jnp.zeros(taps[0].shape, jnp.int8)
    for index, tap in enumerate(taps[1:], start=1):
        first = jnp.where(tap > best, jnp.int8(index), first)
        best = jnp.maximum(best, tap)
    b, height, width, c = images.shape
    _, h, w, _ = gradient.shape
    reach = (window - 1) // stride
    rows = max(h + reach, -(-(height + padding) // stride))
    cols = max(w + reach, -(-(width + padding) // stride))
    pads = ((0, 0), (reach, rows - h), (reach, cols - w), (0, 0))
    first = jnp.pad(first, pads, constant_values=-1)
    gradient = jnp.pad(gradient, pads)

    def residue(row: int, col: int) -> Array:
        total = jnp.zeros((b, rows, cols, c), gradient.dtype)
        for s in range(reach + 1):
            for t in range(reach + 1):
                i, j = row + s * stride, col + t * stride
                if i < window and j < window:
                    place = (
                        slice(None),
                        slice(reach - s, reach - s + rows),
                        slice(reach - t, reach - t + cols),
                    )
                    total += jnp.where(first[place] == i * window + j, gradient[place], 0)
        return total

    return interleave([[residue(a, d) for d in range(stride)] for a in range(stride)])[
        :, padding : padding + height, padding : padding + width
    ]
