"""Where the random numbers of a run come from: no two purposes share a key.

A seed has one root key for each `Stream`; keys hold its lowest 32 bits. The key of an example is a
function of the EXAMPLES root, the epoch and the index of the example (see `augment.example_keys`),
and what is drawn for it comes from one sub-stream each, an `ExampleStream`.
"""

from __future__ import annotations

import enum

import jax
from jaxtyping import Array, Key


class Stream(enum.IntEnum):
    """The purposes of a seed's root keys. A number must never change its meaning."""

    INITIALIZATION = 0  # of the model's weights
    CENTERS = 1  # of the center loss, before the first step
    EXAMPLES = 2  # everything that is drawn for an example at a visit


class ExampleStream(enum.IntEnum):
    """The draws from the key of an example. A number must never change its meaning."""

    MOVE = 0  # flip, shift, rotation
    ERASE = 1
    MODEL = 2  # each dropout layer derives its own key from it, by its salt
    DESATURATE = 3
    LABEL = 4  # a class from a distribution
    ZOOM = 5  # scale and crop
    JITTER = 6  # brightness and contrast
    MIXUP = 7


def root(seed: int, stream: Stream) -> Key[Array, ""]:
    """The root key of one stream of a seed, the same on every kind of device."""
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), stream)


def of_example(key: Key[Array, ""], stream: ExampleStream) -> Key[Array, ""]:
    """The key of one sub-stream of an example."""
    return jax.random.fold_in(key, stream)
