"""FER2013 as a TFDS builder: examples that are read and checked, written as ArrayRecord."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds

from ferjax.data import storage
from ferjax.data.builders.features import example_features
from ferjax.data.examples import Examples
from ferjax.data.fingerprint import example_digests
from ferjax.data.labels import FER2013


class Fer2013(tfds.core.GeneratorBasedBuilder):
    """48x48 grey faces with seven expressions; splits train, validation and test.

    Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning
    contests", 2013.
    """

    VERSION = tfds.core.Version(storage.VERSION)

    def __init__(
        self,
        *,
        splits: Mapping[str, Examples],
        metadata: Mapping[str, Any],
        on_example: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ):
        """Takes what is to be written.

        Args:
          splits: the examples of each split, in memory.
          metadata: stored beside the data: fingerprint, source_format, counts.
          on_example: called after each example that is handed to the writer.
          **kwargs: those of `tfds.core.GeneratorBasedBuilder` (data_dir, file_format).
        """
        self._splits = splits
        self._metadata = dict(metadata)
        self._on_example = on_example
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        shapes = {examples.images.shape[1:] for examples in self._splits.values()}
        (image_shape,) = shapes
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=example_features(image_shape=image_shape, names=FER2013.names),
            supervised_keys=("image", "label"),
            homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
            metadata=tfds.core.MetadataDict(self._metadata),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        del dl_manager  # Nothing is downloaded: the user brings the data.
        return {name: self._generate_examples(split) for name, split in self._splits.items()}

    def _generate_examples(self, examples: Examples) -> Iterator[tuple[str, dict[str, Any]]]:
        # TFDS orders examples by the hash of the key given here. The key is the content, so that
        # equal fingerprints mean equal order, whatever format the images came in.
        digests = example_digests(examples.images, examples.labels)
        copies: dict[bytes, int] = {}
        for index, digest in enumerate(digests):
            copy = copies.get(digest, 0)
            copies[digest] = copy + 1
            yield (
                f"{digest.hex()}-{copy}",
                {
                    "image": examples.images[index],
                    "label": int(examples.labels[index]),
                    "key": examples.keys[index],
                },
            )
            self._on_example()
