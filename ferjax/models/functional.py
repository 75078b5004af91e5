"""Models as pure functions of arrays: structure and weights apart.

Shapes: B batch, H W C image (already preprocessed), K classes, D features.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from ferjax.models import folding
from ferjax.models.layers.frozen import Frozen

# Nested dicts, attribute -> ... -> array. Shapes or shardings may stand in for the arrays, so that
# their leaves have no common type.
Params: TypeAlias = PyTree
Statistics: TypeAlias = PyTree


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Weights:
    """The arrays of a model.

    Attributes:
      params: parameters that the optimizer changes.
      statistics: all others: running statistics of batch norm, parameters of frozen trunks.
    """

    params: Params
    statistics: Statistics


def split_model(model: nnx.Module) -> tuple[nnx.GraphDef, Weights]:
    """Splits a model into its structure and its weights (nested dicts of arrays)."""
    graphdef, *states = nnx.split(model, nnx.Param, (nnx.BatchStat, Frozen))
    params, statistics = states
    return graphdef, Weights(nnx.to_pure_dict(params), nnx.to_pure_dict(statistics))


def merge_model(graphdef: nnx.GraphDef, weights: Weights) -> nnx.Module:
    """Undoes `split_model`. The model copies the variables: calling it never changes `weights`."""
    return nnx.merge(graphdef, weights.params, weights.statistics)


def forward(
    graphdef: nnx.GraphDef, weights: Weights, images: Float[Array, "B H W C"]
) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
    """Logits and features in evaluation mode: running statistics of batch norm, no dropout.

    Batch norms are folded into convolutions (see `folding`).
    """
    return _folded(graphdef, weights)(images)


def fold(graphdef: nnx.GraphDef, weights: Weights) -> tuple[nnx.GraphDef, Weights]:
    """The model that `forward` runs, for programs that run it often with the same weights."""
    structures = []

    def run(weights: Weights) -> Weights:
        structure, folded = split_model(_folded(graphdef, weights))
        structures.append(structure)
        return folded

    # One program: operation by operation, each shape would be compiled for itself, for seconds.
    folded = jax.jit(run)(weights)
    return structures[0], folded


def _folded(graphdef: nnx.GraphDef, weights: Weights) -> nnx.Module:
    model = merge_model(graphdef, weights)
    model.eval()
    folding.fold(model)
    return model


def probabilities(
    graphdef: nnx.GraphDef, weights: Weights, images: Float[Array, "B H W C"]
) -> Float[Array, "B K"]:
    """Class probabilities of preprocessed images."""
    return jax.nn.softmax(forward(graphdef, weights, images)[0])


def num_features(graphdef: nnx.GraphDef, weights: Weights, image_shape: tuple[int, ...]) -> int:
    """D of a model for images [H, W, C]. The weights may be shapes; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    _, features = jax.eval_shape(functools.partial(forward, graphdef, weights), image)
    return features.shape[1]
