"""Models as pure functions of arrays: structure and weights apart.

Shapes: B batch, H W C image (already preprocessed), K classes, D features.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from ferjax.models.layers.frozen import Frozen

Params = Any

Statistics = Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Weights:
    """What a forward pass needs: trained parameters, and what no optimizer moves.

    The statistics are the running ones of batch norm and the parameters of frozen trunks.
    """

    params: Params
    statistics: Statistics


def split_model(model: nnx.Module) -> tuple[nnx.GraphDef, Weights]:
    """Splits a model into its structure and its weights (plain nested dicts of arrays)."""
    graphdef, *states = nnx.split(model, nnx.Param, (nnx.BatchStat, Frozen))
    params, statistics = states
    return graphdef, Weights(nnx.to_pure_dict(params), nnx.to_pure_dict(statistics))


def merge_model(graphdef: nnx.GraphDef, weights: Weights) -> nnx.Module:
    """The model again, with variables of its own: calling it does not change `weights`."""
    return nnx.merge(graphdef, weights.params, weights.statistics)


def forward(
    graphdef: nnx.GraphDef, weights: Weights, images: Float[Array, "B H W C"]
) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
    """Logits and features in evaluation mode: running statistics, nothing random."""
    model = merge_model(graphdef, weights)
    model.eval()
    return model(images)


def probabilities(
    graphdef: nnx.GraphDef, weights: Weights, images: Float[Array, "B H W C"]
) -> Float[Array, "B K"]:
    """Class probabilities of preprocessed images."""
    return jax.nn.softmax(forward(graphdef, weights, images)[0])


def num_features(graphdef: nnx.GraphDef, weights: Weights, image_shape: tuple[int, ...]) -> int:
    """D of a model, whose weights may be shapes, for images [H, W, C]; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    _, features = jax.eval_shape(functools.partial(forward, graphdef, weights), image)
    return features.shape[1]
