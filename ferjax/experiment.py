"""From a config to running parts: the only reader of the ConfigDict.

Every command starts here: `build(config)` for what trains, `build(config, meta=...)` for what uses
a checkpoint. Nothing is loaded or compiled until it is used, and the test split only when somebody
asks for it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Bool
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import losses, models, optim, programs, sharding, step
from ferjax.data import pipeline, preprocess, views
from ferjax.data.augment import Augmentation
from ferjax.data.clean import clean_test_mask
from ferjax.data.examples import Examples, concatenate
from ferjax.data.preprocess import Preprocessing
from ferjax.data.source import Source, open_dataset
from ferjax.errors import UserError
from ferjax.evaluation import States, evaluate
from ferjax.metrics import Metrics
from ferjax.plateau import PlateauRule
from ferjax.protocol import Protocol

OTHER_SPLITS = {"test": ("train", "validation"), "validation+test": ("train",)}


def build(config: ConfigDict, *, meta: Mapping[str, Any] | None = None) -> Experiment:
    """The parts of one experiment.

    Args:
      config: as a file in configs/ makes it.
      meta: what a checkpoint says of its model, labels and preprocessing; with it the parts are
        those of the checkpoint and need no data set.

    Raises:
      UserError: a field whose value does not exist or does not fit the others.
    """
    return Experiment(config, meta)


class Experiment:
    """The parts that a config describes; see `build`."""

    def __init__(self, config: ConfigDict, meta: Mapping[str, Any] | None = None):
        self.config = FrozenConfigDict(config)
        self._meta = meta
        self.mesh = sharding.make_mesh()
        config = self.config
        pipeline.check_placement(config.dataset.placement)
        for name in (config.evaluation.selection_view, *config.evaluation.test_views):
            views.check(name)
        if meta is None:
            sharding.check_batch_size(
                "train.batch_size",
                config.train.batch_size,
                self.mesh,
                parts=_at_least_one("optimizer.accumulation_steps", config),
            )
        sharding.check_batch_size("evaluation.batch_size", config.evaluation.batch_size, self.mesh)
        _at_least_one("train.num_epochs", config)
        if config.train.early_stopping_patience < 0:
            raise UserError(
                f"train.early_stopping_patience is {config.train.early_stopping_patience}; it must "
                "be at least 0, which switches it off."
            )
        self.protocol = Protocol(**config.protocol.to_dict())
        # When the learning rate is reduced.
        self.plateau = PlateauRule(**config.optimizer.plateau.to_dict())
        if config.seed < 0:
            raise UserError(f"seed is {config.seed}; it must be at least 0.")

    def check(self) -> None:
        """Raises a UserError for a field that otherwise only its first use would refuse."""
        _ = self.recipe, self.augmentation
        fields = self.config
        num_examples = self.source.num_examples["train"]
        pipeline.training_order(num_examples, fields.train.batch_size, seed=fields.seed)

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
        return build(config, meta=self._meta)

    # ---- data ----

    @functools.cached_property
    def source(self) -> Source:
        """The prepared data set, opened; its pixels are not read yet."""
        fields = self.config.dataset
        return open_dataset(fields.name, fields.data_dir or None, **fields.options.to_dict())

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        if self._meta is not None:
            return tuple(self._meta["labels"])
        return self.source.labels.names

    @functools.cache  # noqa: B019 - an experiment lives as long as its process
    def examples(self, split: str) -> Examples:
        """A whole split in memory; "validation+test" is both, in that order."""
        return concatenate([self.source.load(part) for part in split.split("+")])

    @functools.cached_property
    def preprocessing(self) -> Preprocessing:
        """From pixels to the model's input, normalised by the training split."""
        if self._meta is not None:
            return Preprocessing.from_dict(self._meta["preprocessing"])
        fields = self.config.model
        return preprocess.create(
            self.config.preprocess.normalization,
            native_shape=self.source.image_shape,
            image_size=fields.image_size,
            channels=fields.channels,
            training_images=lambda: self.examples("train").images,
        )

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """What is done to training images; erased rectangles get the mean grey level."""
        fields = dict(self.config.augment)
        fill = 255.0 * sum(self.preprocessing.mean) / self.preprocessing.channels
        return Augmentation(**fields, fill=fill)

    def training_input(self) -> pipeline.TrainingInput:
        """Training batches on their way to the devices."""
        config = self.config
        return pipeline.TrainingInput(
            self.examples("train"),
            batch_size=config.train.batch_size,
            seed=config.seed,
            placement=config.dataset.placement,
            mesh=self.mesh,
        )

    # ---- sizes ----

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        if self._meta is not None:
            return self._meta["steps_per_epoch"]
        return self.source.num_examples["train"] // self.config.train.batch_size

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
        return models.create(
            **self.model_fields, num_devices=self.mesh.size, rngs=nnx.Rngs(params=seed)
        )

    @functools.cached_property
    def graphdef(self) -> nnx.GraphDef:
        """The structure of the model, without weights."""
        return step.split_model(nnx.eval_shape(self.model))[0]

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
        )
        objective = losses.Objective(
            name=config.loss.name,
            weight=config.loss.weight,
            pairwise_weight=config.loss.pairwise_weight,
            reduction=config.loss.center_reduction,
            center_update=config.loss.center_update,
            alpha=config.loss.center_learning_rate,
            label_smoothing=config.loss.label_smoothing,
        )
        return step.Recipe(
            graphdef=self.graphdef,
            optimizer=optimizer,
            schedule=schedule,
            objective=objective,
            accumulation_steps=config.optimizer.accumulation_steps,
            ema_decay=config.optimizer.ema_decay,
        )

    def scaled(self, state: step.TrainState, scale: float) -> step.TrainState:
        """The state with another factor on the learning rate."""
        value = sharding.replicate(np.float32(scale), self.mesh)
        return dataclasses.replace(state, scale=value)

    @functools.cached_property
    def num_parameters(self) -> int:
        """Parameters of the model, frozen ones included."""
        return models.parameter_count(nnx.eval_shape(self.model))

    def init_state(self) -> step.TrainState:
        """The state before the first step, on every device."""
        init = jax.jit(self._fresh_state, out_shardings=sharding.replicated(self.mesh))
        return init()

    def abstract_state(self) -> step.TrainState:
        """Shapes, types and shardings of the state, to restore a checkpoint into."""
        sharded = sharding.replicated(self.mesh)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharded),
            jax.eval_shape(self._fresh_state),
        )

    def state_of(self, model: nnx.Module) -> step.TrainState:
        """The state before the first step of a model whose weights come from elsewhere."""
        return sharding.replicate(self._state_of(model), self.mesh)

    def _fresh_state(self) -> step.TrainState:
        return self._state_of(self.model(self.config.seed))

    def _state_of(self, model: nnx.Module) -> step.TrainState:
        graphdef, weights = step.split_model(model)
        fields = self.model_fields
        size, channels = fields["image_size"], fields["channels"]
        image = jax.ShapeDtypeStruct((1, size, size, channels), np.float32)
        _, features = jax.eval_shape(functools.partial(step.forward, graphdef, weights), image)
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
        """See `programs.training`."""
        return programs.training(
            self.recipe,
            augmentation=self.augmentation,
            preprocessing=self.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
        )

    @functools.cached_property
    def input_step(self) -> jax.stages.Wrapped:
        """See `programs.training_images`."""
        return programs.training_images(
            augmentation=self.augmentation,
            preprocessing=self.preprocessing,
            seed=self.config.seed,
            mesh=self.mesh,
        )

    @functools.cache  # noqa: B019 - an experiment lives as long as its process
    def eval_step(
        self, names: tuple[str, ...]
    ) -> Callable[[step.Weights, pipeline.Table | None, pipeline.Batch], States]:
        """See `programs.evaluation`."""
        return programs.evaluation(self._sharded_predict_step, names=names, mesh=self.mesh)

    @functools.cached_property
    def _sharded_predict_step(self) -> jax.stages.Wrapped:
        return programs.prediction(self.graphdef, preprocessing=self.preprocessing, mesh=self.mesh)

    @functools.cached_property
    def predict_step(self) -> jax.stages.Wrapped:
        """See `programs.prediction`."""
        return programs.prediction(self.graphdef, preprocessing=self.preprocessing)

    # ---- whole passes ----

    def groups(self, split: str) -> dict[str, Bool[np.ndarray, " N"]]:
        """All examples of a split, and for the test split also those training cannot have seen."""
        images = self.examples(split).images
        groups = {split: np.ones(len(images), bool)}
        if split in OTHER_SPLITS:
            others = (self.examples(other).images for other in OTHER_SPLITS[split])
            groups[f"{split}_clean"] = clean_test_mask(images, *others)
        return groups

    def evaluation_batches(
        self, split: str, groups: Mapping[str, Bool[np.ndarray, " N"]], *, on_host: bool
    ) -> Iterator[pipeline.Batch]:
        """One exact pass over a split."""
        return pipeline.evaluation_batches(
            self.examples(split),
            batch_size=self.config.evaluation.batch_size,
            on_host=on_host,
            mesh=self.mesh,
            groups=groups,
        )

    def evaluation(self, split: str, names: tuple[str, ...]) -> Callable[[step.Weights], Any]:
        """`weights -> metrics[view][group]` over a split, whose pixels are placed only once."""
        on_host = self.config.dataset.placement == "host"
        groups = self.groups(split)
        table = None if on_host else pipeline.make_table(self.examples(split), self.mesh)
        count = self.eval_step(names)

        def run(weights: step.Weights) -> dict[str, dict[str, Metrics]]:
            batches = self.evaluation_batches(split, groups, on_host=on_host)
            return evaluate(functools.partial(count, weights, table), batches, names)

        return run

    def meta(self) -> dict[str, Any]:
        """What a checkpoint must say so that its weights can be used, as JSON."""
        return {
            "model": self.model_fields,
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_dict(),
            "dataset": self.config.dataset.name,
            "fingerprint": self.source.fingerprint,
            "steps_per_epoch": self.steps_per_epoch,
        }


def _at_least_one(path: str, config: FrozenConfigDict) -> int:
    group, field = path.split(".")
    value = config[group][field]
    if value < 1:
        raise UserError(f"{path} is {value}; it must be at least 1.")
    return value
