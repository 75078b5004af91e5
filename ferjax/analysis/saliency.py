"""Where a model looks: Grad-CAM, and the attention that it computes itself.

Shapes: B batch, H W C image in grey levels, h w map, C' channels of a map, K classes.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ferjax import models
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional

# A map of fewer places shows too little of a face.
LEAST_SIDE = 6


@dataclasses.dataclass(frozen=True)
class Looked:
    """What a model looked at in B images.

    Attributes:
      predicted: the classes.
      cam: Grad-CAM of the predicted class, each image's largest value 1; 0 where nothing speaks for
        the class. None for a model that passes no gradient on.
      attention: name -> the model's own map, as it is inside the forward pass.
    """

    predicted: Int[np.ndarray, " B"]
    cam: Float[np.ndarray, "B h w"] | None
    attention: Mapping[str, Float[np.ndarray, "B _ _"]]


class Saliency:
    """Grad-CAM and attention of one model.

    Args:
      trained: the model.
      image_shape: (H, W, C) of its images.

    Attributes:
      layer: the feature map that Grad-CAM looks at: the last of at least `LEAST_SIDE` places a
        side, or the last one. Of a fusion, the map of a trunk. None for late fusion, which
        passes no gradient on.
    """

    def __init__(self, trained: TrainedModel, image_shape: tuple[int, int, int]):
        self._trained = trained
        self._shapes = self._recorded((1, *image_shape))
        options = trained.spec.model
        self.layer = None
        if models.model_class(options["name"]).is_trainable:
            self.layer = _layer(self._shapes, _TRUNK if "trunks" in options else _STAGE)
        self._run = jax.jit(self._look)

    def __call__(self, images: Float[np.ndarray, "B H W C"]) -> Looked:
        """Looks at images in grey levels 0..255."""
        predicted, cam, values = jax.device_get(self._run(self._trained.weights, images))
        if cam is not None:
            largest = cam.max(axis=(1, 2), keepdims=True)
            cam = np.where(largest > 0, cam / np.where(largest > 0, largest, 1), 0)
        return Looked(predicted=predicted, cam=cam, attention=_maps(values))

    def at_first_pixel(self, name: str) -> bool:
        """Where the places of an intermediate lie; see `models.Model`."""
        options = self._trained.spec.model
        if "trunks" not in options:
            return models.model_class(options["name"]).at_first_pixel
        trunks = [models.model_class(trunk).at_first_pixel for trunk in options["trunks"]]
        for number, found in enumerate(trunks, 1):
            if name.startswith(f"trunk{number}"):
                return found
        return all(trunks)

    @property
    def gated(self) -> list[str]:
        """The names of the model's own gates of channels, from the image on."""
        return [name for name in self._shapes if name.endswith(_CHANNELS)]

    def gates(
        self, weights: functional.Weights, images: Float[Array, "B H W C"], names: Sequence[str]
    ) -> list[Float[Array, "B _"]]:
        """Some gates of channels for images in grey levels 0..255, to be compiled by the caller."""
        _, values = self._forward(weights, images)
        return [values[name].astype(jnp.float32) for name in names]

    def _forward(
        self, weights: functional.Weights, images: Array, added: Mapping[str, Array] | None = None
    ) -> tuple[Array, dict[str, Array]]:
        shown = self._trained.spec.preprocessing(images)
        with models.recording(added) as values:
            logits, _ = functional.forward(self._trained.graphdef, weights, shown)
        return logits, values

    def _recorded(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """The shapes of all intermediates for one image, from the image on."""
        shapes = {}  # filled while it is traced: what JAX returns is sorted by name

        def run(weights: functional.Weights, images: Array) -> None:
            _, values = self._forward(weights, images)
            shapes.update({name: value.shape for name, value in values.items()})

        jax.eval_shape(run, self._trained.weights, jax.ShapeDtypeStruct(shape, jnp.float32))
        return shapes

    def _look(
        self, weights: functional.Weights, images: Float[Array, "B H W C"]
    ) -> tuple[Array, Array | None, dict[str, Array]]:
        """The predicted classes, Grad-CAM of them, and the model's own maps."""
        logits, values = self._forward(weights, images)
        kept = {name: value for name, value in values.items() if self._is_map(name, value.shape)}
        cam = None if self.layer is None else self._cam(weights, images, self.layer)
        return logits.argmax(axis=1), cam, kept

    def _cam(
        self, weights: functional.Weights, images: Float[Array, "B H W C"], layer: str
    ) -> Float[Array, "B h w"]:
        """Selvaraju et al. 2017, eq. 1 and 2, for the class of the largest logit."""

        def best_logits(added: Array) -> tuple[Array, Array]:
            logits, values = self._forward(weights, images, {layer: added})
            # In evaluation the logits of an image depend on no other: the sum has each's gradient.
            return logits.max(axis=1).sum(), values[layer]

        _, height, width, channels = self._shapes[layer]
        zeros = jnp.zeros((len(images), height, width, channels), jnp.float32)
        gradient, maps = jax.grad(best_logits, has_aux=True)(zeros)
        importance = gradient.mean(axis=(1, 2), keepdims=True)
        return jax.nn.relu(jnp.sum(importance * maps.astype(jnp.float32), axis=3))

    def _is_map(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether an intermediate is attention between or over places of the image."""
        if not name.endswith(_TOKENS):
            return name.endswith(_PLACES)
        # Tokens may also be channels, or all places together.
        return self._trained.spec.model.get("tokens") == "space" and shape[1] > 1


_CHANNELS = ("cbam.channel.gate", "se.gate", "se1.gate", "se2.gate")
_PLACES = ("cbam.spatial.gate", "attention_map")
_TOKENS = "token_attention"
_STAGE = r"^(layer|stage|blocks\.)\d+$"
# A frozen trunk passes no gradient on, but its own map has one.
_TRUNK = r"^trunk\d$"


def _maps(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The maps [B, h, w]; of token attention, how much attention each place gets on average."""
    made = {}
    for name, value in values.items():
        if name.endswith(_PLACES):
            made[name] = value
        elif name.endswith(_TOKENS):
            side = math.isqrt(value.shape[1])
            made[name] = value.mean(axis=1).reshape(len(value), side, side)
    return made


def _layer(shapes: Mapping[str, tuple[int, ...]], names: str) -> str:
    """The last feature map that is large enough for Grad-CAM, of those whose names fit."""
    maps = {
        name: shape for name, shape in shapes.items() if len(shape) == 4 and re.search(names, name)
    }
    large = [name for name, shape in maps.items() if min(shape[1:3]) >= LEAST_SIDE]
    return (large or list(maps))[-1]
