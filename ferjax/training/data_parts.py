"""The data half of an experiment: from a config to examples, preprocessing and batches."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax.data import catalog
from ferjax.data.dataset import Source, open_dataset
from ferjax.data.examples import Examples
from ferjax.data.pipeline import batches, order, preprocess
from ferjax.data.pipeline.augment import Augmentation
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.data.splits import splitters
from ferjax.data.splits.clean import clean_test_mask
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.evaluation import views
from ferjax.evaluation.protocol import Protocol

OTHER_SPLITS = {split: catalog.other_splits(split) for split in ("test", "validation+test")}


class ExperimentData:
    """What a config says of data; see `experiment.build`.

    Attributes:
      config: as a file in configs/ makes it.
      mesh: of the devices.
      protocol: what selects and what is reported.
    """

    def __init__(self, config: ConfigDict, meta: Mapping[str, Any] | None, mesh: Mesh | None):
        self.config = FrozenConfigDict(config)
        self._meta = meta
        self.mesh = sharding.make_mesh() if mesh is None else mesh
        leak = splitters.leak(self.config.dataset.options.to_dict())
        self.protocol = Protocol(**self.config.protocol.to_dict(), leak=leak)

    def check(self) -> None:
        """Raises a UserError for a field that otherwise only its first use would refuse."""
        _ = self.augmentation
        for use in (self.protocol.selection, self.protocol.test):
            if not any(self.source.num_examples[split] for split in use.split("+")):
                raise UserError(
                    f"The {use} split of {self.source.name} has no example, and the run needs it: "
                    "give dataset.options.held_out or test_share a larger share, or prepare the "
                    "data set with that split."
                )
        train = self.config.train
        order.check(self.source.num_examples["train"], train.batch_size)

    @functools.cached_property
    def source(self) -> Source:
        """The prepared data set, opened; its pixels are not read yet."""
        fields = self.config.dataset
        return open_dataset(fields.name, fields.data_dir or None, **fields.options.to_dict())

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of the data that the model was, or is to be, trained on."""
        return self._meta["fingerprint"] if self._meta is not None else self.source.fingerprint

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        if self._meta is not None:
            return tuple(self._meta["labels"])
        return self.source.labels.names

    @functools.cache  # noqa: B019 - an experiment lives as long as its process
    def examples(self, split: str) -> Examples:
        """A split, its images in memory unless they stream; "validation+test" is both in a row."""
        return self.source.load(split, in_memory=self.placement(split) != "stream")

    @functools.cache  # noqa: B019
    def placement(self, split: str) -> str:
        """Where the pixels of a split are: "device", "host" or "stream"."""
        return self._resolved(self.config.dataset.placement, split)

    def _resolved(self, placement: str, split: str) -> str:
        if placement != "auto":  # so that nothing is opened to count
            return placement
        num_bytes = self.source.num_examples[split] * int(np.prod(self.source.image_shape))
        return batches.choose_placement(placement, num_bytes, self.config.dataset.limit_mib)

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
            crop=self.config.augment.crop,
            training_images=lambda: self.examples("train").images,
        )

    def view_parts(self, name: str) -> tuple[views.Part, ...]:
        """What a test-time view shows of an image, at a scale that training showed."""
        return views.parts(name, crop=self.preprocessing.crop, magnified=self.has_magnified_crops)

    @property
    def has_magnified_crops(self) -> bool:
        """Whether the crops of `ten_crop` are resized to the whole image (see `views.parts`).

        They are if training showed that scale; a checkpoint that does not say so is from before
        that was asked, when they always were.
        """
        if self._meta is not None:
            return self._meta.get("has_magnified_crops", True)
        return views.magnified(self.config.augment.scale)

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """What is done to training images; erased rectangles get the mean grey level."""
        fields = dict(self.config.augment)
        fields["shift"] *= self.preprocessing.native_shape[0]
        if not fields["subpixel"]:
            fields["shift"] = round(fields["shift"])
        fields["crop"] = self.preprocessing.crop
        del fields["mixup"]  # which is of pairs, and not done here
        if fields["erasing"]:
            fields["fill"] = self._mean_grey_level
        return Augmentation(**fields)

    @functools.cached_property
    def _mean_grey_level(self) -> float:
        """Of the training images, 0 to 255, whatever they are normalised by."""
        mean = self.preprocessing.mean
        # What has only a checkpoint's word for its data is compiled and not trained.
        if self._meta is None and self.config.preprocess.normalization != "dataset":
            images = self.examples("train").images
            mean, _ = preprocess.channel_statistics(images, self.config.model.channels)
        return 255.0 * sum(mean) / len(mean)

    def training_input(self, placement: str | None = None) -> batches.TrainingInput:
        """Training batches on their way to the devices, from the config's or another placement."""
        config = self.config
        if placement is None:
            placement, examples = self.placement("train"), self.examples("train")
        else:
            placement = self._resolved(placement, "train")
            examples = self.source.load("train", in_memory=placement != "stream")
        return batches.TrainingInput(
            examples,
            batch_size=config.train.batch_size,
            seed=config.seed,
            placement=placement,
            mesh=self.mesh,
            sampling=config.train.sampling,
            num_threads=config.dataset.num_threads,
        )

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        if self._meta is not None:
            return self._meta["steps_per_epoch"]
        return self.source.num_examples["train"] // self.config.train.batch_size

    def groups(self, split: str) -> dict[str, Bool[np.ndarray, " N"]]:
        """All examples of a split, and for the test split also those training cannot have seen."""
        source = self.source
        examples = self.examples(split)
        groups = {split: np.ones(len(examples), bool)}
        if split in OTHER_SPLITS:
            others = [
                source.load(other, in_memory=False).pixel_hashes
                for other in OTHER_SPLITS[split]
                if source.num_examples[other]
            ]
            groups[f"{split}_clean"] = clean_test_mask(examples.pixel_hashes, *others)
        return groups

    def seen_pixels(self) -> tuple[bytes, ...] | None:
        """The pixel hashes of what trains or selects the model; None if its data are not here."""
        try:
            source = self.source
        except UserError:
            return None
        if source.fingerprint != self.fingerprint:
            return None
        splits = {"train", *self.protocol.selection.split("+")}
        return tuple(
            content
            for split in sorted(splits)
            if source.num_examples[split]
            for content in source.load(split, in_memory=False).pixel_hashes
        )

    def evaluation_batches(
        self, split: str, groups: Mapping[str, Bool[np.ndarray, " N"]]
    ) -> Iterator[batches.Batch]:
        """One exact pass over a split."""
        return batches.evaluation_batches(
            self.examples(split),
            batch_size=self.config.evaluation.batch_size,
            placement=self.placement(split),
            mesh=self.mesh,
            groups=groups,
            num_threads=self.config.dataset.num_threads,
        )
