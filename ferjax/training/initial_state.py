"""The training state before the first step: fresh, from other weights, or as shapes."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from ferjax.distributed import sharding
from ferjax.inference.model_spec import ModelSpec
from ferjax.models import functional
from ferjax.training import step
from ferjax.training.step import TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class InitialStates:
    """Makes the state of a run before its first step.

    Attributes:
      spec: the description of the model.
      recipe: the fixed part of the training step.
      mesh: the devices.
      placement: where the parameters and their optimizer state lie (see `sharding.over_devices`).
      seed: the seed of the initial weights and centres.
    """

    spec: ModelSpec
    recipe: step.Recipe
    mesh: Mesh
    placement: str
    seed: int

    def fresh(self) -> TrainState:
        """The state with fresh weights, on the devices."""
        return jax.jit(self._fresh, out_shardings=self.shardings)()

    def of(self, model: nnx.Module) -> TrainState:
        """The state of a model whose weights come from elsewhere, on the devices."""
        return sharding.place(self._of(model), self.shardings)

    def abstract(self) -> TrainState:
        """Shapes, types and shardings of the state, to restore a checkpoint into."""
        return jax.tree.map(
            lambda leaf, placed: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed),
            self._shapes,
            self.shardings,
        )

    @functools.cached_property
    def shardings(self) -> TrainState:
        """Where each array of the state lies."""
        return sharding.over_devices(self._shapes, self.mesh, self.placement)

    def scaled(self, state: TrainState, scale: float) -> TrainState:
        """The state with another factor on the learning rate."""
        value = sharding.replicate(np.float32(scale), self.mesh)
        return dataclasses.replace(state, scale=value)

    @functools.cached_property
    def _shapes(self) -> TrainState:
        return jax.eval_shape(self._fresh)

    def _fresh(self) -> TrainState:
        return self._of(self.spec.create(self.mesh, self.seed))

    def _of(self, model: nnx.Module) -> TrainState:
        graphdef, weights = functional.split_model(model)
        fields = self.spec.model
        image_shape = (fields["image_size"], fields["image_size"], fields["channels"])
        return step.init_state(
            self.recipe,
            weights,
            num_classes=len(self.spec.labels),
            num_features=functional.num_features(graphdef, weights, image_shape),
            seed=self.seed,
        )
