"""Winograd's minimal filtering F(3x3, 3x3) for 3x3 convolutions of stride 1 and padding 1.

Y = A^T [(G g G^T) * (B^T d B)] A over tiles of 3x3 outputs (Lavin and Gray 2016, eq. 12), summed
over channels by a matrix product for each of the 25 positions of a transformed tile. Tiles of three
divide the maps of a 48-pixel image (48, 24, 12, 6, 3), and their transforms have small rounding
errors: the interpolation points are 0, 1, -1, 1/2 and infinity.

A transformed tile is a list of its columns, each an array that stacks its rows. This takes few
operations, which compile quickly, each a sum of strided slices with contiguous channels.

Shapes: B batch, H W map, C channels, I input and O output channels, N tiles of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

TILE = 3
SIZE = TILE + 2  # inputs of a row of three outputs
# Bytes of transformed tiles that stay in the last cache of a server's CPU until they are used.
CACHE = 16 * 2**20

# A^T, G and B^T of the paper.
OUTPUT = np.array([[1, 1, 1, 1, 0], [0, 1, -1, 1 / 2, 0], [0, 1, 1, 1 / 4, 1]])
KERNEL = np.array([[6, 0, 0], [3, 3, 3], [-1, 1, -1], [-8, -4, -2], [0, 0, 3]]) / 3
INPUT = (
    np.array(
        [
            [1, -2, -1, 2, 0],
            [0, -1, 1, 2, 0],
            [0, 1, -3, 2, 0],
            [0, -2, 0, 2, 0],
            [0, 1, -2, -1, 2],
        ]
    )
    / 2
)
# G g G^T of all kernels as one product: [columns x rows of a tile, rows x columns of a kernel].
KERNEL_BOTH = np.einsum("mj,ki->mkij", KERNEL, KERNEL).reshape(SIZE * SIZE, 9)


def tiles(batch: int, height: int, width: int) -> int:
    """The number of tiles of a batch of maps."""
    return batch * -(-height // TILE) * -(-width // TILE)


def convolve(images: Array, kernel: Array) -> Array:
    """Returns [B, H, W, O] of images [B, H, W, I] and kernel [3, 3, I, O]."""
    return _correlate(images, kernel, KERNEL_BOTH, channel_axis=0)


def input_gradient(kernel: Array, gradient: Array) -> Array:
    """Returns the input's gradient [B, H, W, I], given the output's gradient [B, H, W, O].

    It is the correlation with the kernel rotated by 180 degrees, channels exchanged.
    """
    return _correlate(gradient, kernel, KERNEL_BOTH[:, ::-1], channel_axis=1)


def _correlate(images: Array, kernel: Array, transform: np.ndarray, *, channel_axis: int) -> Array:
    """Correlates images; `channel_axis` of (I, O) is the kernel's axis of their channels."""
    channels = kernel.shape[2:]
    taps = kernel.reshape(9, -1)
    # One product for each column: CPUs would copy the slices of a common product.
    weights = [
        (jnp.asarray(column, kernel.dtype) @ taps).reshape(SIZE, *channels)
        for column in transform.reshape(SIZE, SIZE, 9)
    ]
    batch, size = images.shape[0], _images_at_once(images)
    if size is None:
        return _correlate_tiles(images, weights, channel_axis)
    # Every part takes images from all over the batch, which devices may share.
    apart = images.reshape(size, batch // size, *images.shape[1:])
    shape = (*apart.shape[:-1], channels[1 - channel_axis])

    def part(index: Array, maps: Array) -> Array:
        some = lax.dynamic_index_in_dim(apart, index, 1, keepdims=False)
        some = _correlate_tiles(some, weights, channel_axis)
        return lax.dynamic_update_index_in_dim(maps, some, index, 1)

    maps = lax.fori_loop(0, batch // size, part, jnp.zeros(shape, images.dtype))
    return maps.reshape(batch, *shape[2:])


def _images_at_once(images: Array) -> int | None:
    """The most images, a power of two and a divisor of the batch, whose tiles fit in a cache.

    None, for the whole batch, if it fits, if these are so few that the products become thin, or if
    its size is symbolic.
    """
    shape: tuple[Any, ...] = images.shape
    batch, height, width, channels = shape
    if not isinstance(batch, int):
        return None
    of_one = SIZE * SIZE * tiles(1, height, width) * channels * images.dtype.itemsize
    size = 1
    while batch % (2 * size) == 0 and 2 * size * of_one <= CACHE:
        size *= 2
    return None if batch * of_one <= CACHE or size * of_one < CACHE // 4 else size


def _correlate_tiles(images: Array, weights: list[Array], channel_axis: int) -> Array:
    """The correlation of images with transformed kernels, each [5 rows, I, O]."""
    b, height, width, _ = images.shape
    o = weights[0].shape[2 - channel_axis]
    rows, cols = -(-height // TILE), -(-width // TILE)
    products = [
        _batched(tile, weight, 2, 1 + channel_axis).reshape(SIZE, b, rows, cols, o)
        for tile, weight in zip(_transform_input(images), weights, strict=True)
    ]
    lines = jnp.stack([_combine(line, products) for line in OUTPUT], axis=4)
    lines = lines.reshape(SIZE, b, rows, cols * TILE, o)
    maps = jnp.stack([_combine(line, list(lines)) for line in OUTPUT], axis=2)
    return maps.reshape(b, rows * TILE, cols * TILE, o)[:, :height, :width]


def kernel_gradient(images: Array, gradient: Array) -> Array:
    """Returns the kernel's gradient [3, 3, I, O], given the output's gradient [B, H, W, O]."""
    _, height, width, o = gradient.shape
    data = _transform_input(images)
    pads = ((0, 0), (0, -height % TILE), (0, -width % TILE), (0, 0))
    upstream = _transform_tiles(OUTPUT.T, jnp.pad(gradient, pads))
    weights = jnp.concatenate(
        [_batched(tile, change, 1, 1) for tile, change in zip(data, upstream, strict=True)]
    )
    both = jnp.asarray(KERNEL_BOTH.T, gradient.dtype)
    return (both @ weights.reshape(SIZE * SIZE, -1)).reshape(3, 3, images.shape[3], o)


def _transform_input(images: Array) -> list[Array]:
    """Returns B^T d B: for each of its five columns an array [5 rows, N, I]."""
    _, height, width, _ = images.shape
    pads = ((0, 0), (1, 1 + -height % TILE), (1, 1 + -width % TILE), (0, 0))
    return _transform_tiles(INPUT, jnp.pad(images, pads))


def _transform_tiles(matrix: np.ndarray, images: Array) -> list[Array]:
    """Returns M d M^T of all tiles d of images [B, H, W, C]: for each column [rows, N, C].

    The tiles start every three pixels and are as wide as M; tiles of five overlap by two.
    """
    c = images.shape[3]
    half = jnp.stack([_combine(row, _tile_slices(images, matrix.shape[1], 1)) for row in matrix])
    columns = _tile_slices(half, matrix.shape[1], 3)
    return [_combine(row, columns).reshape(len(matrix), -1, c) for row in matrix]


def _tile_slices(images: Array, size: int, axis: int) -> list[Array]:
    """Returns the slices at each of the `size` positions of the tiles along an axis."""
    last = images.shape[axis] - size
    return [lax.slice_in_dim(images, i, i + last + 1, TILE, axis) for i in range(size)]


def _batched(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    """Contracts one axis of each, for every leading index."""
    return lax.dot_general(left, right, (((left_axis,), (right_axis,)), ((0,), (0,))))


def _combine(coefficients: np.ndarray, arrays: Sequence[Array]) -> Array:
    terms = [
        array if coefficient == 1 else array * float(coefficient)
        for coefficient, array in zip(coefficients, arrays, strict=True)
        if coefficient != 0
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
