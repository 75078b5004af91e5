"""Convolution and max-pooling: XLA's operations on GPUs and TPUs, other formulations on CPUs.

XLA compiles several convolutions of a ResNet badly for CPUs: maps of a few pixels, images of one
channel, weight gradients, the gradient of max-pooling. For CPUs the same functions are lowered as
Winograd's algorithm or as matrix products over shifted slices. The choice depends on the platform
that a program is lowered for, so that programs for other platforms contain none of this code.

Shapes: B batch, H W input map, h w output map, I input channels, O output channels, p q kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
from jax import lax
from jaxtyping import Array, Float

from ferjax.models.ops import tpu_convolution
from ferjax.models.ops.cpu import convolution


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv2d(images: Array, kernel: Array, stride: int, padding: int) -> Array:
    return lax.platform_dependent(
        images,
        kernel,
        cpu=partial(convolution.forward, stride=stride, padding=padding),
        tpu=partial(tpu_convolution.forward, stride=stride, padding=padding),
        default=partial(tpu_convolution.direct, stride=stride, padding=padding),
    )


def _conv2d_forward(
    images: Array, kernel: Array, stride: int, padding: int
) -> tuple[Array, tuple[Array, Array]]:
    return _conv2d(images, kernel, stride, padding), (images, kernel)


def _conv2d_backward(
    stride: int, padding: int, residuals: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    def direct(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        conv = partial(tpu_convolution.direct, stride=stride, padding=padding)
        return jax.vjp(conv, images, kernel)[1](gradient)

    return lax.platform_dependent(
        *residuals,
        gradient,
        cpu=partial(convolution.gradients, stride=stride, padding=padding),
        tpu=partial(tpu_convolution.gradients, stride=stride, padding=padding),
        default=direct,
    )


_conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def conv2d(
    images: Float[Array, "B H W I"], kernel: Float[Array, "p q I O"], *, stride: int, padding: int
) -> Float[Array, "B h w O"]:
    """Cross-correlates images with a kernel, `padding` zeros on every side; reverse mode only.

    On CPUs the result differs from a direct sum by about 1e-6 of the largest output (Winograd's
    F(3x3, 3x3); Lavin and Gray 2016). Both arguments and the result have the same type.
    """
    return _conv2d(images, kernel, stride, padding)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(images: Array, window: int, stride: int, padding: int) -> Array:
    return lax.platform_dependent(
        images,
        cpu=partial(convolution.max_pool, window=window, stride=stride, padding=padding),
        default=_xla_max_pool(window, stride, padding),
    )


def _xla_max_pool(window: int, stride: int, padding: int) -> Callable[[Array], Array]:
    def pool(images: Array) -> Array:
        # A literal, not an array: reduce_window recognises a maximum only by its identity.
        lowest = -float("inf")
        pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        return lax.reduce_window(
            images, lowest, lax.max, (1, window, window, 1), (1, stride, stride, 1), pads
        )

    return pool


def _max_pool_forward(
    images: Array, window: int, stride: int, padding: int
) -> tuple[Array, tuple[Array]]:
    return _max_pool(images, window, stride, padding), (images,)


def _max_pool_backward(
    window: int, stride: int, padding: int, residuals: tuple[Array], gradient: Array
) -> tuple[Array]:
    images = residuals[0]
    return (max_pool_gradient(images, gradient, window=window, stride=stride, padding=padding),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def max_pool(
    images: Float[Array, "B H W C"], *, window: int = 3, stride: int = 2, padding: int = 1
) -> Float[Array, "B h w C"]:
    """Maxima of windows without the padding; the first of equal maxima takes the gradient."""
    return _max_pool(images, window, stride, padding)


def max_pool_gradient(
    images: Float[Array, "B H W C"],
    gradient: Float[Array, "B h w C"],
    *,
    window: int,
    stride: int,
    padding: int,
) -> Float[Array, "B H W C"]:
    """The gradient with respect to images of `max_pool`, given the gradient of its result."""

    def xla_gradient(images: Array, gradient: Array) -> Array:
        _, vjp = jax.vjp(_xla_max_pool(window, stride, padding), images)
        return vjp(gradient)[0]

    return lax.platform_dependent(
        images,
        gradient,
        cpu=partial(convolution.max_pool_gradient, window=window, stride=stride, padding=padding),
        default=xla_gradient,
    )
