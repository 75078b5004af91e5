"""Builds the parts of a run from its config.

Nothing is loaded or compiled before its first use, the test split included.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import models
from ferjax.config import checks
from ferjax.data.pipeline import order
from ferjax.data.pipeline.augment import Augmentation
from ferjax.data.pipeline.batches import TrainingInput
from ferjax.data.run_data import RunData
from ferjax.data.splits import splitters
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.evaluation.evaluator import Evaluator
from ferjax.evaluation.protocol import Protocol
from ferjax.inference.model_spec import ModelSpec
from ferjax.models.functional import Weights
from ferjax.training import compiled_step, inputs, step
from ferjax.training import optimizer as optim
from ferjax.training.initial_state import InitialStates
from ferjax.training.objective import Objective, balanced_weights, given_weights
from ferjax.training.plateau import PlateauRule


def build(
    config: ConfigDict, *, spec: ModelSpec | None = None, mesh: Mesh | None = None
) -> Experiment:
    """The parts of one run.

    Args:
      config: a config that a file in configs/ made.
      spec: the model's, to compile its programs without the data set.
      mesh: the devices to compile for, present or not; by default all that are present.

    Raises:
      UserError: see `checks.check`; or the devices cannot share a batch evenly.
    """
    checks.check(config)
    return Experiment(
        FrozenConfigDict(config), spec, sharding.make_mesh() if mesh is None else mesh
    )


class Experiment:
    """The parts that a config describes; see `build`.

    Attributes:
      config: the run's.
      mesh: the devices.
      data: the data set of the run.
      protocol: what selects and what is reported.
      plateau: when the learning rate is reduced.
    """

    def __init__(self, config: FrozenConfigDict, spec: ModelSpec | None, mesh: Mesh):
        self.config = config
        self.mesh = mesh
        self.data = RunData(mesh, **config.dataset.to_dict())
        leak = splitters.leak(config.dataset.options.to_dict())
        self.protocol = Protocol(**config.protocol.to_dict(), leak=leak)
        sharding.check_batch_size(
            "train.batch_size",
            config.train.batch_size,
            mesh,
            parts=config.optimizer.accumulation_steps,
        )
        sharding.check_batch_size("evaluation.batch_size", config.evaluation.batch_size, mesh)
        self.plateau = PlateauRule(**config.optimizer.plateau.to_dict())
        self._given_spec = spec

    def check(self) -> None:
        """Raises a UserError for what would otherwise be refused only at its first use."""
        source, train = self.data.source, self.config.train
        for use in (self.protocol.selection, self.protocol.test):
            if not any(source.num_examples[split] for split in use.split("+")):
                raise UserError(
                    f"The {use} split of {source.name} has no example, and the run needs it: "
                    "give dataset.options.held_out or test_share a larger share, or prepare the "
                    "data set with that split."
                )
        order.check(source.num_examples["train"], train.batch_size)
        _ = self.augmentation, self.recipe

    # ---- model ----

    @functools.cached_property
    def spec(self) -> ModelSpec:
        """Describes the weights that the run trains."""
        if self._given_spec is not None:
            return self._given_spec
        return inputs.spec(self.config, self.data)

    def model(self, seed: int = 0) -> nnx.Module:
        """A model with fresh weights."""
        return self.spec.create(self.mesh, seed)

    @functools.cached_property
    def abstract_model(self) -> tuple[nnx.GraphDef, Weights]:
        """The structure of the model, and its weights as shapes."""
        return self.spec.abstract(self.mesh)

    @functools.cached_property
    def num_parameters(self) -> int:
        """Parameters of the model, frozen ones included."""
        return models.parameter_count(nnx.eval_shape(self.model))

    @property
    def is_trained(self) -> bool:
        """Whether training changes any parameter."""
        return models.model_class(self.spec.model["name"]).is_trainable

    @property
    def num_steps(self) -> int:
        """Updates of the whole run; 0 if nothing is trained, as happens in late fusion."""
        epochs = self.config.train.num_epochs
        return self.spec.steps_per_epoch * epochs if self.is_trained else 0

    # ---- the training step ----

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """The augmentation of training images."""
        data = self.data if self._given_spec is None else None
        return inputs.augmentation(self.config, self.spec, data)

    @functools.cached_property
    def recipe(self) -> step.Recipe:
        """The fixed part of the training step."""
        fields = self.config.optimizer
        warmup = round(fields.warmup_epochs * self.spec.steps_per_epoch) if self.is_trained else 0
        schedule = optim.learning_rate_schedule(
            fields.schedule,
            peak=fields.learning_rate,
            num_steps=max(self.num_steps, 1),
            warmup_steps=warmup,
        )
        optimizer = optim.optimizer(
            fields.name,
            learning_rate=schedule,
            momentum=fields.momentum,
            nesterov=fields.nesterov,
            weight_decay=fields.weight_decay,
            clip_norm=fields.clip_norm,
            epsilon=fields.epsilon,
        )
        return step.Recipe(
            graphdef=self.abstract_model[0],
            optimizer=optimizer,
            schedule=schedule,
            objective=self._objective(),
            accumulation_steps=fields.accumulation_steps,
            ema_decay=fields.ema_decay,
        )

    def _objective(self) -> Objective:
        fields = self.config.loss
        return Objective(
            name=fields.name,
            weight=fields.weight,
            pairwise_weight=fields.pairwise_weight,
            reduction=fields.center_reduction,
            distance=fields.center_distance,
            center_update=fields.center_update,
            pairwise_on=fields.pairwise_on,
            alpha=fields.center_learning_rate,
            label_smoothing=fields.label_smoothing,
            class_weights=self._class_weights(),
        )

    def _class_weights(self) -> tuple[float, ...]:
        text, labels = self.config.loss.class_weights, self.spec.labels
        if text == "none":
            return ()
        if text != "balanced":
            return given_weights(text, labels)
        if self._given_spec is not None:  # only compiled: any weights will do
            return (1.0,) * len(labels)
        examples = self.data.examples("train")
        if examples.targets is None:
            return balanced_weights(examples.counts(len(labels)))
        return balanced_weights(examples.targets.sum(axis=0, dtype=np.float64).tolist())

    @functools.cached_property
    def states(self) -> InitialStates:
        """Makes the state before the first step."""
        return InitialStates(
            spec=self.spec,
            recipe=self.recipe,
            mesh=self.mesh,
            placement=self.config.train.parameter_placement,
            seed=self.config.seed,
        )

    @functools.cached_property
    def train_step(self) -> jax.stages.Wrapped:
        """See `compiled_step.training`."""
        return compiled_step.training(
            self.recipe,
            augmentation=self.augmentation,
            preprocessing=self.spec.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
            state_shardings=self.states.shardings,
            num_classes=len(self.spec.labels),
            mixup=self.config.augment.mixup,
            draws_labels=splitters.draws_labels(self.config.dataset.options.to_dict()),
        )

    @functools.cached_property
    def input_step(self) -> jax.stages.Wrapped:
        """See `compiled_step.training_images`."""
        return compiled_step.training_images(
            augmentation=self.augmentation,
            preprocessing=self.spec.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
            num_classes=len(self.spec.labels),
            mixup=self.config.augment.mixup,
        )

    def training_input(self, placement: str | None = None) -> TrainingInput:
        """Training batches for the devices, with the config's placement of pixels or another."""
        fields = self.config.train
        return self.data.training_input(
            batch_size=fields.batch_size,
            seed=self.config.seed,
            sampling=fields.sampling,
            placement=placement,
        )

    # ---- evaluation ----

    @functools.cached_property
    def evaluator(self) -> Evaluator:
        """Scores the weights."""
        batch_size = self.config.evaluation.batch_size
        return Evaluator(self.spec, self.mesh, batch_size=batch_size)
