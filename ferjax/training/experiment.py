"""From a config to running parts: the only reader of the ConfigDict.

Every command starts here: `build(config)` for what trains, `build(config, meta=...)` for what uses
a checkpoint. Nothing is loaded or compiled until it is used, and the test split only when somebody
asks for it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Bool
from ml_collections import ConfigDict

from ferjax import models
from ferjax.config import checks
from ferjax.data.pipeline.batches import make_table
from ferjax.data.splits import splitters
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.evaluation import class_geometry
from ferjax.evaluation.evaluator import States, evaluate
from ferjax.metrics import Metrics
from ferjax.models import functional
from ferjax.random_streams import Stream, root
from ferjax.training import compiled_step, step
from ferjax.training import optimizer as optim
from ferjax.training.data_parts import ExperimentData
from ferjax.training.objective import Objective, balanced_weights, given_weights
from ferjax.training.plateau import PlateauRule


def build(
    config: ConfigDict,
    *,
    meta: Mapping[str, Any] | None = None,
    mesh: Mesh | None = None,
    trains: bool | None = None,
) -> Experiment:
    """The parts of one experiment.

    Args:
      config: as a file in configs/ makes it.
      meta: what a checkpoint says of its model, labels and preprocessing; with it the parts are
        those of the checkpoint and need no data set.
      mesh: of the devices that the programs are for, which need not be there to be compiled for;
        by default of all that are.
      trains: whether the training step is wanted; by default where there is no `meta`.

    Raises:
      UserError: as `checks.check`, or a batch that the devices cannot share evenly.
    """
    checks.check(config)
    return Experiment(config, meta, mesh, meta is None if trains is None else trains)


class Experiment(ExperimentData):
    """The parts that a config describes; see `build`."""

    def __init__(
        self, config: ConfigDict, meta: Mapping[str, Any] | None, mesh: Mesh | None, trains: bool
    ):
        super().__init__(config, meta, mesh)
        self._trains = trains
        config = self.config
        if trains:
            sharding.check_batch_size(
                "train.batch_size",
                config.train.batch_size,
                self.mesh,
                parts=config.optimizer.accumulation_steps,
            )
            # What is done about a checkpoint that cannot be saved.
            self.on_failed_save = config.train.on_failed_save
        sharding.check_batch_size("evaluation.batch_size", config.evaluation.batch_size, self.mesh)
        # When the learning rate is reduced.
        self.plateau = PlateauRule(**config.optimizer.plateau.to_dict())

    def check(self) -> None:
        """Raises a UserError for a field that otherwise only its first use would refuse."""
        super().check()
        _ = self.recipe

    def elsewhere(
        self, *, data_dir: str | None = None, evaluation_batch_size: int | None = None
    ) -> Experiment:
        """The same parts with the data in another place, or evaluated in other batches."""
        config = ConfigDict(self.config)
        if data_dir is not None:
            config.dataset.data_dir = data_dir
        if evaluation_batch_size is not None:
            if config.model.get("tokens") == "batch":
                raise UserError(
                    f"This model was made with tokens=batch: its scores depend on the size of the "
                    f"batches, which was {config.evaluation.batch_size}; leave --batch_size out."
                )
            config.evaluation.batch_size = evaluation_batch_size
        return build(config, meta=self._meta, mesh=self.mesh)

    # ---- sizes ----

    @property
    def num_steps(self) -> int:
        """Updates of the whole run; none where nothing is trained, as in late fusion."""
        return self.steps_per_epoch * self.config.train.num_epochs if self.is_trained else 0

    @functools.cached_property
    def is_trained(self) -> bool:
        """Whether the model has a parameter that is not frozen."""
        return bool(jax.tree.leaves(nnx.state(nnx.eval_shape(self.model), nnx.Param)))

    # ---- model and state ----

    @functools.cached_property
    def model_fields(self) -> dict[str, Any]:
        """Keywords of `models.create`, as JSON; they travel inside the checkpoint."""
        if self._meta is not None:
            return dict(self._meta["model"])
        return {**dict(self.config.model), "num_classes": len(self.labels)}

    def model(self, seed: int = 0) -> nnx.Module:
        """A model with fresh weights."""
        rngs = nnx.Rngs(params=root(seed, Stream.INITIALIZATION))
        return models.create(**self.model_fields, num_devices=self.mesh.size, rngs=rngs)

    @functools.cached_property
    def graphdef(self) -> nnx.GraphDef:
        """The structure of the model, without weights."""
        return functional.split_model(nnx.eval_shape(self.model))[0]

    @functools.cached_property
    def recipe(self) -> step.Recipe:
        """The fixed part of the training step."""
        config = self.config
        schedule = optim.learning_rate_schedule(
            config.optimizer.schedule,
            peak=config.optimizer.learning_rate,
            num_steps=max(self.num_steps, 1),
            warmup_steps=round(config.optimizer.warmup_epochs * self.steps_per_epoch)
            if self.is_trained
            else 0,
        )
        optimizer = optim.optimizer(
            config.optimizer.name,
            learning_rate=schedule,
            momentum=config.optimizer.momentum,
            nesterov=config.optimizer.nesterov,
            weight_decay=config.optimizer.weight_decay,
            clip_norm=config.optimizer.clip_norm,
            epsilon=config.optimizer.epsilon,
        )
        objective = Objective(
            name=config.loss.name,
            weight=config.loss.weight,
            pairwise_weight=config.loss.pairwise_weight,
            reduction=config.loss.center_reduction,
            distance=config.loss.center_distance,
            center_update=config.loss.center_update,
            pairwise_on=config.loss.pairwise_on,
            alpha=config.loss.center_learning_rate,
            label_smoothing=config.loss.label_smoothing,
            class_weights=self._class_weights(),
        )
        return step.Recipe(
            graphdef=self.graphdef,
            optimizer=optimizer,
            schedule=schedule,
            objective=objective,
            accumulation_steps=config.optimizer.accumulation_steps,
            ema_decay=config.optimizer.ema_decay,
        )

    def _class_weights(self) -> tuple[float, ...]:
        text = self.config.loss.class_weights
        if text == "none" or self._meta is not None:  # what uses a checkpoint has no loss
            return ()
        if text == "balanced":
            examples = self.examples("train")
            if examples.targets is None:
                return balanced_weights(examples.counts(len(self.labels)))
            return balanced_weights(examples.targets.sum(axis=0, dtype=np.float64).tolist())
        return given_weights(text, self.labels)

    def scaled(self, state: step.TrainState, scale: float) -> step.TrainState:
        """The state with another factor on the learning rate."""
        value = sharding.replicate(np.float32(scale), self.mesh)
        return dataclasses.replace(state, scale=value)

    @functools.cached_property
    def num_parameters(self) -> int:
        """Parameters of the model, frozen ones included."""
        return models.parameter_count(nnx.eval_shape(self.model))

    def init_state(self) -> step.TrainState:
        """The state before the first step, on the devices."""
        return jax.jit(self._fresh_state, out_shardings=self.state_shardings)()

    def abstract_state(self) -> step.TrainState:
        """Shapes, types and shardings of the state, to restore a checkpoint into."""
        return jax.tree.map(
            lambda leaf, placed: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed),
            jax.eval_shape(self._fresh_state),
            self.state_shardings,
        )

    @functools.cached_property
    def state_shardings(self) -> step.TrainState:
        """Where each array of the state lies; what uses a checkpoint holds it whole."""
        placement = self.config.train.parameter_placement if self._trains else "replicated"
        return sharding.over_devices(jax.eval_shape(self._fresh_state), self.mesh, placement)

    def state_of(self, model: nnx.Module) -> step.TrainState:
        """The state before the first step of a model whose weights come from elsewhere."""
        return sharding.place(self._state_of(model), self.state_shardings)

    def _fresh_state(self) -> step.TrainState:
        return self._state_of(self.model(self.config.seed))

    def _state_of(self, model: nnx.Module) -> step.TrainState:
        graphdef, weights = functional.split_model(model)
        fields = self.model_fields
        size, channels = fields["image_size"], fields["channels"]
        image = jax.ShapeDtypeStruct((1, size, size, channels), np.float32)
        _, features = jax.eval_shape(
            functools.partial(functional.forward, graphdef, weights), image
        )
        return step.init_state(
            self.recipe,
            weights,
            num_classes=len(self.labels),
            num_features=features.shape[1],
            seed=self.config.seed,
        )

    # ---- compiled programs ----

    @functools.cached_property
    def train_step(self) -> jax.stages.Wrapped:
        """See `compiled_step.training`."""
        return compiled_step.training(
            self.recipe,
            augmentation=self.augmentation,
            preprocessing=self.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
            state_shardings=self.state_shardings,
            num_classes=len(self.labels),
            mixup=self.config.augment.mixup,
            draws_labels=splitters.draws_labels(self.config.dataset.options.to_dict()),
        )

    @functools.cached_property
    def input_step(self) -> jax.stages.Wrapped:
        """See `compiled_step.training_images`."""
        return compiled_step.training_images(
            augmentation=self.augmentation,
            preprocessing=self.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
            num_classes=len(self.labels),
            mixup=self.config.augment.mixup,
        )

    @functools.cache  # noqa: B019 - an experiment lives as long as its process
    def eval_step(self, names: tuple[str, ...]) -> Callable[..., States]:
        """See `compiled_step.evaluation`."""
        parts = {name: self.view_parts(name) for name in names}
        return compiled_step.evaluation(self._score_step, parts=parts, mesh=self.mesh)

    @functools.cached_property
    def _score_step(self) -> jax.stages.Wrapped:
        return compiled_step.scoring(
            self.graphdef, preprocessing=self.preprocessing, mesh=self.mesh
        )

    @functools.cached_property
    def predict_step(self) -> jax.stages.Wrapped:
        """See `compiled_step.prediction`."""
        return compiled_step.prediction(self.graphdef, preprocessing=self.preprocessing)

    # ---- whole passes ----

    def evaluation(
        self,
        split: str,
        names: tuple[str, ...],
        more_groups: Mapping[str, Bool[np.ndarray, " N"]] | None = None,
    ) -> Callable[..., Any]:
        """`(weights, geometry=None) -> metrics[view][group]` over a split, placed only once.

        The groups are those of `groups`, and `more_groups` of the examples of the split; those that
        have no example are left out. A `class_geometry.Accumulator` gets the sums of the features
        of all examples of the split, as the first view shows them.
        """
        groups = {**(more_groups or {}), **self.groups(split)}
        on_device = self.placement(split) == "device"
        table = make_table(self.examples(split), self.mesh) if on_device else None
        count = self.eval_step(names)

        def run(
            weights: functional.Weights, geometry: class_geometry.Accumulator | None = None
        ) -> dict[str, dict[str, Metrics]]:
            add = None if geometry is None else lambda sums: geometry.add(sums[split])
            batches = self.evaluation_batches(split, groups)
            return evaluate(functools.partial(count, weights, table, add=add), batches, names)

        return run

    def meta(self) -> dict[str, Any]:
        """What a checkpoint must say so that its weights can be used, as JSON."""
        return {
            "model": self.model_fields,
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_dict(),
            "has_magnified_crops": self.has_magnified_crops,
            "dataset": self.config.dataset.name,
            "fingerprint": self.source.fingerprint,
            "steps_per_epoch": self.steps_per_epoch,
        }
