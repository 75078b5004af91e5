"""The three networks of MTCNN, with their published weights.

Zhang et al., "Joint face detection and alignment using multitask cascaded convolutional networks",
IEEE Signal Processing Letters 23 (2016) 1499-1503. Each tells whether a window shows a face and
how its edges should move; the last one also tells where eyes, nose and mouth are.

Shapes: N windows, B images. Images are RGB, (grey level - 127.5) / 128.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from safetensors.numpy import load

from ferjax.errors import UserError

# third_party/mtcnn/convert.py makes it.
_FILE = "mtcnn.safetensors"
_SHA256 = "bbc6abaa7fcd35682f65696efd57420bf3263827de888b6bbbae29fe12707f16"

Weights = Mapping[str, Array | np.ndarray]


class Windows(NamedTuple):
    """What a network says of windows.

    Attributes:
      scores: probabilities of a face, float32 [...].
      offsets: of the edges left, top, right and bottom, in sides of the window, float32 [..., 4].
      points: x of both eyes, the nose and both corners of the mouth, then their y, in sides of the
        window, float32 [..., 10]; None but for `onet`.
    """

    # Arrays of JAX, or of NumPy once they are fetched.
    scores: Any
    offsets: Any
    points: Any = None


@functools.cache
def weights() -> dict[str, np.ndarray]:
    """The weights of all three, by network, layer and kind.

    Raises:
      UserError: the file of the installed package is damaged.
    """
    file = resources.files("ferjax.inference.faces") / _FILE
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise UserError(f"{file} is missing or damaged; install ferjax again.")
    return load(data)


def normalized(grey_levels: Array | np.ndarray) -> Float[Array, "..."]:
    """Grey levels as the networks take them."""
    return (jnp.asarray(grey_levels, jnp.float32) - 127.5) / 128.0


def pnet(w: Weights, images: Float[Array, "B H W 3"]) -> Windows:
    """Looks at all windows of 12x12, two pixels apart: [B, (H - 10) // 2 - 4, ...] of them."""
    maps = _prelu_convolution(w, "pnet.conv1", images)
    maps = _maxima(maps, 2)
    maps = _prelu_convolution(w, "pnet.conv2", maps)
    maps = _prelu_convolution(w, "pnet.conv3", maps)
    score, box = (_convolution(w, f"pnet.{name}", maps) for name in ("score", "box"))
    return Windows(_probability(score), box)


def rnet(w: Weights, windows: Float[Array, "N 24 24 3"]) -> Windows:
    """Looks at windows of 24x24."""
    maps = _maxima(_prelu_convolution(w, "rnet.conv1", windows), 3, "SAME")
    maps = _maxima(_prelu_convolution(w, "rnet.conv2", maps), 3)
    maps = _prelu_convolution(w, "rnet.conv3", maps)
    features = _prelu_dense(w, "rnet.dense", maps)
    return Windows(_probability(_dense(w, "rnet.score", features)), _dense(w, "rnet.box", features))


def onet(w: Weights, windows: Float[Array, "N 48 48 3"]) -> Windows:
    """Looks at windows of 48x48."""
    maps = _maxima(_prelu_convolution(w, "onet.conv1", windows), 3, "SAME")
    maps = _maxima(_prelu_convolution(w, "onet.conv2", maps), 3)
    maps = _maxima(_prelu_convolution(w, "onet.conv3", maps), 2, "SAME")
    maps = _prelu_convolution(w, "onet.conv4", maps)
    features = _prelu_dense(w, "onet.dense", maps)
    score, box, points = (
        _dense(w, f"onet.{name}", features) for name in ("score", "box", "points")
    )
    return Windows(_probability(score), box, points)


def _convolution(w: Weights, layer: str, maps: Array) -> Array:
    made = lax.conv_general_dilated(
        maps,
        jnp.asarray(w[f"{layer}.kernel"]),
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,  # edges of boxes move by the rounding of accelerators
    )
    return made + _as_channels(w[f"{layer}.bias"], made)


def _dense(w: Weights, layer: str, values: Array) -> Array:
    flat = values.reshape(len(values), -1)
    made = jnp.matmul(flat, w[f"{layer}.kernel"], precision=lax.Precision.HIGHEST)
    return made + _as_channels(w[f"{layer}.bias"], made)


def _prelu_convolution(w: Weights, layer: str, maps: Array) -> Array:
    return _prelu(w, layer, _convolution(w, layer, maps))


def _prelu_dense(w: Weights, layer: str, values: Array) -> Array:
    return _prelu(w, layer, _dense(w, layer, values))


def _prelu(w: Weights, layer: str, values: Array) -> Array:
    return jnp.where(values > 0, values, _as_channels(w[f"{layer}.slope"], values) * values)


def _as_channels(vector: Array | np.ndarray, values: Array) -> Array | np.ndarray:
    """A number for each channel, in as many axes as the values."""
    return vector.reshape((1,) * (values.ndim - 1) + (-1,))


def _maxima(maps: Array, side: int, padding: str = "VALID") -> Array:
    return lax.reduce_window(maps, -jnp.inf, lax.max, (1, side, side, 1), (1, 2, 2, 1), padding)


def _probability(logits: Array) -> Array:
    return jax.nn.softmax(logits)[..., 1]
