"""Mixup: training on mixed pairs of images and their mixed labels (Zhang et al. 2018).

Shapes: B batch, H W C image, K classes.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ferjax.random_streams import ExampleStream, of_example


def shares(keys: Key[Array, " B"], alpha: float) -> Float[Array, " B"]:
    """The share of each example in its mixture, from Beta(alpha, alpha) by its own key.

    In closed form from two uniform numbers (Devroye 1996, "Random variate generation in one line of
    code", symmetric beta): with U and V uniform and S = 1 or -1,

        1/2 + S/2 (1 + 1 / ((U^(-1/alpha) - 1) cos^2(2 pi V)))^(-1/2).

    A rejection sampler would loop until every example on every device is accepted.
    """
    keys = jax.vmap(lambda key: of_example(key, ExampleStream.MIXUP))(keys)
    draws = jax.vmap(lambda key: jax.random.uniform(key, (2,)))(keys)
    cos = jnp.cos(2.0 * jnp.pi * draws[:, 1])  # its sign serves as S, which it is independent of
    exponent = jnp.log(draws[:, 0]) / alpha
    # Both sides of the fraction times U^(1/alpha), which is finite where 1 over it is not.
    distance = -jnp.expm1(exponent) * jnp.square(cos)
    root = jnp.sqrt(distance / (jnp.exp(exponent) + distance))
    return 0.5 + 0.5 * jnp.sign(cos) * root


def mix(
    images: Float[Array, "B H W C"],
    labels: Int[Array, " B"],
    targets: Float[Array, "B K"] | None,
    share: Float[Array, " B"],
    num_classes: int,
) -> tuple[Float[Array, "B H W C"], Int[Array, " B"], Float[Array, "B K"]]:
    """Mixes each image with its partner, x = s x_i + (1 - s) x_j (Zhang et al. 2018, eq. 1).

    The partner of row i is row B - 1 - i, whatever the devices and micro-batches are; in a batch of
    odd size the middle row stays as it is.

    Args:
      images: the images of a global batch.
      labels: classes.
      targets: distributions over the classes in place of the labels, or None.
      share: s of each row.
      num_classes: K.

    Returns:
      The mixed images; one label for each, the class of the image with the larger share (of image i
      if both have half); the mixed distributions.
    """
    if targets is None:
        targets = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    wide = share[:, None, None, None]
    narrow = share[:, None]
    return (
        wide * images + (1.0 - wide) * images[::-1],
        jnp.where(share >= 0.5, labels, labels[::-1]),
        narrow * targets + (1.0 - narrow) * targets[::-1],
    )
