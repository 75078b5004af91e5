"""The steps from stored images to the model's input, built from a config."""

from __future__ import annotations

from ml_collections import FrozenConfigDict

from ferjax.data.pipeline import preprocess
from ferjax.data.pipeline.augment import Augmentation
from ferjax.data.run_data import RunData
from ferjax.evaluation import views
from ferjax.inference.model_spec import ModelSpec


def spec(config: FrozenConfigDict, data: RunData) -> ModelSpec:
    """Describes the weights that a config trains on its data.

    Reads the training images if they are normalised by their own statistics.
    """
    source, fields = data.source, config.model
    labels = source.labels.names
    return ModelSpec(
        model={**dict(fields), "num_classes": len(labels)},
        labels=labels,
        preprocessing=preprocess.create(
            config.preprocess.normalization,
            native_shape=source.image_shape,
            image_size=fields.image_size,
            channels=fields.channels,
            crop=config.augment.crop,
            training_images=lambda: data.examples("train").images,
        ),
        has_magnified_crops=views.magnified(config.augment.scale),
        dataset=config.dataset.name,
        fingerprint=source.fingerprint,
        steps_per_epoch=source.num_examples["train"] // config.train.batch_size,
        options=config.dataset.options.to_dict(),
        seed=config.seed,
    )


def augmentation(config: FrozenConfigDict, spec: ModelSpec, data: RunData | None) -> Augmentation:
    """The augmentation of training images; erased rectangles get the mean grey level.

    Args:
      config: the run's.
      spec: the description of its model.
      data: the run's, or None if only the shapes matter; then the mean is the spec's.
    """
    fields = dict(config.augment)
    fields["shift"] *= spec.native_shape[0]
    if not fields["subpixel"]:
        fields["shift"] = round(fields["shift"])
    fields["crop"] = spec.preprocessing.crop
    del fields["mixup"]  # it mixes pairs of augmented images: see `mixup`
    if fields["erasing"]:
        fields["fill"] = _mean_grey_level(config, spec, data)
    return Augmentation(**fields)


def _mean_grey_level(config: FrozenConfigDict, spec: ModelSpec, data: RunData | None) -> float:
    """The mean of the training images, 0 to 255, however they are normalised."""
    mean = spec.preprocessing.mean
    if data is not None and config.preprocess.normalization != "dataset":
        images = data.examples("train").images
        mean, _ = preprocess.channel_statistics(images, config.model.channels)
    return 255.0 * sum(mean) / len(mean)
