"""The input shapes of a data set that is not there, to compile a program without reading it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ferjax.data import catalog, known_sizes
from ferjax.data.options import known
from ferjax.data.pipeline import batches, preprocess
from ferjax.data.pipeline.batches import Batch, Table
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.evaluation import views
from ferjax.inference.model_spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class AbsentData:
    """The facts about a data set from a config and the catalog, before anything is read.

    Attributes:
      config: a config that a file in configs/ made.
      image_shape: (H, W, C) of the stored images.
      labels: names of the classes.
      num_train: training examples; None if unknown.
    """

    config: ConfigDict
    image_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    num_train: int | None

    def spec(self) -> ModelSpec:
        """The description of the trained weights, with made-up statistics of the pixels.

        The statistics do not change the cost.
        """
        fields = self.config.model
        # Black and white: mean and deviation are both a half.
        pixels = np.zeros((2, *self.image_shape), np.uint8)
        pixels[1] = 255
        preprocessing = preprocess.create(
            self.config.preprocess.normalization,
            native_shape=self.image_shape,
            image_size=fields.image_size,
            channels=fields.channels,
            crop=self.config.augment.crop,
            training_images=lambda: pixels,
        )
        steps = (self.num_train or 0) // max(self.config.train.batch_size, 1)
        return ModelSpec(
            model={**dict(fields), "num_classes": len(self.labels)},
            labels=self.labels,
            preprocessing=preprocessing,
            has_magnified_crops=views.magnified(self.config.augment.scale),
            dataset=self.config.dataset.name,
            fingerprint="",
            steps_per_epoch=max(steps, 1),
        )

    @property
    def placement(self) -> str:
        """Where the pixels are (see `batches`); an unknown number of images is streamed."""
        fields = self.config.dataset
        if fields.placement == "auto" and self.num_train is None:
            return "stream"
        num_bytes = (self.num_train or 0) * math.prod(self.image_shape)
        return batches.choose_placement(fields.placement, num_bytes, fields.limit_mib)

    def arguments(
        self, mesh: jax.sharding.Mesh, batch_size: int, groups: tuple[str, ...] = ()
    ) -> tuple[Table | None, Batch]:
        """Shapes of the table and of a global batch, the inputs of training and evaluation steps.

        Args:
          mesh: the devices that hold them.
          batch_size: B, over all devices.
          groups: names of the groups that are counted; none in training.

        Raises:
          UserError: the pixels shall lie on the device, and the number of images is unknown.
        """
        whole, by_batch = sharding.replicated(mesh), sharding.by_batch(mesh)
        array: Any = jax.ShapeDtypeStruct

        def columns(number: int, shape: tuple[int, ...], where: jax.sharding.Sharding) -> Any:
            targets = None
            if not groups and self.config.dataset.options.get("target", "majority") != "majority":
                targets = array((number, len(self.labels)), np.float32, sharding=where)
            return {
                "images": array((number, *shape), np.uint8, sharding=where),
                "labels": array((number,), np.int32, sharding=where),
                "targets": targets,
            }

        def row(dtype: Any) -> Any:
            return array((batch_size,), dtype, sharding=by_batch)

        repeats = not groups and self.config.train.sampling == "balanced"
        batch = Batch(
            indices=row(np.int32),
            groups={name: row(np.bool_) for name in groups},
            epoch=array((), np.int32, sharding=whole),
            visits=row(np.int32) if repeats else None,
        )
        if self.placement != "device":
            return None, dataclasses.replace(
                batch, **columns(batch_size, self.image_shape, by_batch)
            )
        if self.num_train is None:
            raise UserError(
                "dataset.placement is device, and how many images there are is only known once "
                "they are prepared; compile with --config.dataset.placement=stream."
            )
        columns_of_all = columns(self.num_train, (math.prod(self.image_shape),), whole)
        return Table(**columns_of_all, image_shape=self.image_shape), batch


def describe(
    config: ConfigDict,
    *,
    image_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
) -> AbsentData:
    """The facts about the data set of a config.

    Args:
      config: a config that a file in configs/ made.
      image_shape: the shape of the stored images, if not the data set's usual one.
      num_classes: K, for images that are the user's own.

    Raises:
      UserError: no such data set; or `num_classes` is missing for the user's own images, or given
        for others.
    """
    spec = catalog.find(config.dataset.name)
    options = {**known(spec.name), **config.dataset.options.to_dict()}
    if spec.labels is None and num_classes is None:
        raise UserError(
            f"the number of classes of {spec.name} is only known once its images are prepared; "
            "give it with --num_classes=NUMBER."
        )
    if spec.labels is not None and num_classes is not None:
        raise UserError(
            f"--num_classes is {num_classes}, and {spec.name} has {spec.labels.num_classes}; leave "
            "it out, which is for images of your own."
        )
    own = tuple(f"class {number}" for number in range(num_classes or 0))
    labels = own if spec.labels is None else spec.labels.names
    return AbsentData(
        config=config,
        image_shape=image_shape or spec.image_shape or _shape(config, options),
        labels=labels,
        num_train=known_sizes.num_train(spec, options),
    )


def _shape(config: ConfigDict, options: Mapping[str, Any]) -> tuple[int, int, int]:
    """The shape in the options of the data set, else the shape of the model's input."""
    size = options.get("image_size", config.model.image_size)
    return (size, size, options.get("channels", config.model.channels))
