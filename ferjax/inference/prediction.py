"""The compiled program that turns images into probabilities."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, UInt8

from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.models import functional


def prediction(graphdef: nnx.GraphDef, *, preprocessing: Preprocessing) -> jax.stages.Wrapped:
    """`(weights, images [B, h, w, c]) -> probabilities float32 [B, K]`; grey levels of any type."""

    def run(
        weights: functional.Weights, images: UInt8[Array, "B h w c"] | Float[Array, "B h w c"]
    ) -> Float[Array, "B K"]:
        return functional.probabilities(graphdef, weights, preprocessing(images))

    return jax.jit(run)
