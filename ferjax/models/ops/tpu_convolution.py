"""XLA's convolution, and other formulations of it for shapes that it runs slowly on TPUs.

Shapes: B batch, H W input map, h w output map, I input channels, O output channels, p q kernel.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

# Most channels, on either side, and widest map of a convolution that becomes one over rows.
CHANNELS, WIDTH = 2, 256
# A 1x1 convolution with a stride is faster in XLA's own form with at least so many input channels,
# or on a map that is smaller than so many places.
POINTWISE, SMALL = 256, 24


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
    if _skips_places(images, kernel, stride):
        return _at_its_places(images, kernel, stride)
    same = stride == 1 and kernel.shape[0] == kernel.shape[1] == 2 * padding + 1
    if same and images.shape[1] < kernel.shape[0] and kernel.shape[2] > CHANNELS:
        turned = lax.rev(images, (1, 2)), lax.rev(kernel, (0, 1))
        return lax.rev(direct(*turned, stride=1, padding=padding), (1, 2))
    return differentiable(images, kernel, stride=stride, padding=padding)


def gradients(
    images: Array, kernel: Array, gradient: Array, *, stride: int, padding: int
) -> tuple[Array, Array]:
    """The gradients by images and kernel, in the form that TPUs run fastest."""
    conv = partial(differentiable, stride=stride, padding=padding)
    by_images, by_kernel = jax.vjp(conv, images, kernel)[1](gradient)
    if _skips_places(images, kernel, stride):
        (by_kernel,) = jax.vjp(lambda k: _at_its_places(images, k, stride), kernel)[1](gradient)
    return by_images, by_kernel


def _skips_places(images: Array, kernel: Array, stride: int) -> bool:
    is_pointwise = stride > 1 and kernel.shape[:2] == (1, 1)
    return is_pointwise and kernel.shape[2] < POINTWISE and images.shape[1] >= SMALL


def _at_its_places(images: Array, kernel: Array, stride: int) -> Array:
    """A 1x1 convolution with a stride, of the places alone that it reads."""
    return direct(images[:, ::stride, ::stride], kernel, stride=1, padding=0)


def differentiable(images: Array, kernel: Array, *, stride: int, padding: int) -> Array:
    """As `direct`, with gradients in the form that TPUs run fastest.

    A convolution of few channels, as in a spatial gate, leaves most of a matrix unit idle, and its
    gradients more so. Here the places of a row become channels of a convolution down the columns,
    whose kernel holds, for each of its p taps, the matrix of all pairs of places in two rows. It
    computes many zeros, and still takes a fraction of the time.
    """
    batch, height, width, i = images.shape
    p, q, _, o = kernel.shape
    same = stride == 1 and p == q == 2 * padding + 1
    if not same or width > WIDTH or max(i, o) > CHANNELS:
        return direct(images, kernel, stride=stride, padding=padding)
    across = _bands(width, q, images.dtype)
    matrices = jnp.einsum("Wwq,pqio->piWow", across, kernel, precision=lax.Precision.HIGHEST)
    rows = lax.conv_general_dilated(
        images.transpose(0, 1, 3, 2).reshape(batch, height, i * width),
        matrices.reshape(p, i * width, o * width),
        window_strides=(1,),
        padding=((padding, padding),),
        dimension_numbers=("NHC", "HIO", "NHC"),
    )
    return rows.reshape(batch, height, o, width).transpose(0, 1, 3, 2)


def _bands(size: int, window: int, dtype: jnp.dtype) -> Array:
    """[W, w, q]: 1 if tap q joins place W of an input row and w of an output row, else 0."""
    at = jnp.arange(size)
    taps = jnp.arange(window) - window // 2
    return (at[:, None, None] == at[None, :, None] + taps[None, None, :]).astype(dtype)
