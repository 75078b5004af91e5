"""The one way to prepared data: `open_dataset(name)`, then `.load(split)`.

A split's images and labels are read by `load` of that split and by nothing else; opening a data set
reads only its description. So test labels are read exactly where `load("test")` is called.

Shape letters: N examples, H W C image, K classes.
"""

import inspect
import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.proto import tf_example_pb2

from ferjax.data import catalog, storage
from ferjax.data.catalog import DatasetSpec
from ferjax.data.examples import Examples as Examples
from ferjax.data.labels import LabelSpace
from ferjax.data.storage import default_data_dir as default_data_dir
from ferjax.errors import UserError, nearest

# Records that are in memory twice, as bytes and as arrays, while a split is read.
_CHUNK = 4096


class Source:
    """A prepared data set.

    Attributes:
      name: as in the catalog.
      labels: its classes.
      image_shape: (H, W, C) of every image.
      num_examples: for each split, how many examples it has.
      fingerprint: 64 hex digits of the content of all splits.
    """

    name: str
    labels: LabelSpace
    image_shape: tuple[int, int, int]
    num_examples: dict[str, int]
    fingerprint: str

    def __init__(self, spec: DatasetSpec, builder: Any):
        """Takes a TFDS builder of a finished data set; raises a UserError if its classes differ."""
        self._builder = builder
        self._title = spec.title
        features = builder.info.features
        if tuple(features["label"].names) != spec.labels.names:
            raise UserError(
                f"{builder.data_dir} has the classes {', '.join(features['label'].names)}, and "
                f"{spec.title} has {', '.join(spec.labels.names)}: prepare it again with "
                "--overwrite."
            )
        self.name = spec.name
        self.labels = spec.labels
        self.image_shape = tuple(features["image"].shape)
        self.num_examples = {
            name: builder.info.splits[name].num_examples for name in catalog.SPLITS
        }
        self.fingerprint = builder.info.metadata["fingerprint"]

    def load(self, split: str) -> Examples:
        """Reads a whole split into memory.

        Args:
          split: "train", "validation" or "test".

        Returns:
          Its examples, always in the same order for the same fingerprint.

        Raises:
          UserError: there is no such split, or its files are damaged.
        """
        if split not in self.num_examples:
            raise UserError(
                f"{self._title} has no split {split!r}.{nearest(split, self.num_examples)} "
                f"There are: {', '.join(self.num_examples)}."
            )
        try:
            return self._read(split)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"the {split} split in {self._builder.data_dir} cannot be read ({error}): delete "
                "that folder and prepare it again."
            ) from error

    def _read(self, split: str) -> Examples:
        # Records are parsed here, not by TFDS, which takes six times as long per example.
        records = self._builder.as_data_source(
            split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
        )
        n = self.num_examples[split]
        if len(records) != n:
            raise ValueError(f"{len(records)} records found, {n} expected")
        images = np.empty((n, *self.image_shape), dtype=np.uint8)
        labels = np.empty(n, dtype=np.int32)
        keys = []
        for start in range(0, n, _CHUNK):
            indices = range(start, min(start + _CHUNK, n))
            for index, record in zip(indices, records.__getitems__(list(indices)), strict=True):
                feature = tf_example_pb2.Example.FromString(record).features.feature
                pixels = np.frombuffer(feature["image"].bytes_list.value[0], dtype=np.uint8)
                images[index] = pixels.reshape(self.image_shape)
                labels[index] = feature["label"].int64_list.value[0]
                keys.append(feature["key"].bytes_list.value[0].decode())
        return Examples(images=images, labels=labels, keys=tuple(keys))


def open_dataset(name: str, data_dir: str | os.PathLike | None = None, **options: Any) -> Source:
    """Opens a prepared data set; `synthetic` is prepared on first use.

    Args:
      name: one of `catalog.DATASETS`.
      data_dir: where data sets are prepared, local or remote (gs://); `default_data_dir()` if None.
      **options: of `synthetic` alone: image_size, channels, seed, num_train, num_validation,
        num_test.

    Raises:
      UserError: there is no such data set or option, or the data set is not prepared; the message
        says how to obtain and prepare it.
    """
    spec = catalog.find(name)
    root = storage.resolve(data_dir)
    if spec is catalog.SYNTHETIC:
        # Drawing faces takes imports that no other data set needs.
        from ferjax.data.builders.synthetic import prepare_synthetic

        _check_options(name, options, list(inspect.signature(prepare_synthetic).parameters)[1:])
        return Source(spec, prepare_synthetic(root, **options))
    _check_options(name, options, [])
    directory = storage.version_dir(root, name)
    builder = storage.open_finished(directory)
    if builder is None:
        state = "only half there (not every file is)" if directory.exists() else "not prepared"
        raise UserError(f"{spec.title} is {state} in {root}.\n{how_to_prepare(spec, root)}")
    return Source(spec, builder)


def how_to_prepare(spec: DatasetSpec, data_dir: epath.Path) -> str:
    """How to obtain a data set, and the command that prepares it where it was looked for."""
    where = "" if data_dir == default_data_dir() else f" --data_dir={data_dir}"
    return spec.how_to_obtain + where


def _check_options(name: str, options: dict[str, Any], known: list[str]) -> None:
    for option in options:
        if option not in known:
            listing = f"Its options are: {', '.join(known)}." if known else "It has none."
            raise UserError(
                f"the data set {name} has no option {option!r}.{nearest(option, known)} {listing}"
            )
