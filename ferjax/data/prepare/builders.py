"""TFDS builders for the data sets that users obtain: checked examples, stored as ArrayRecord."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from ferjax.data.prepare.items import Item
from ferjax.data.storage import local
from ferjax.data.storage.features import example_features


@dataclasses.dataclass(frozen=True)
class Checked:
    """One example that has been decoded and hashed.

    Attributes:
      item: the example.
      digest: SHA-256 of shape, label, pixels, subject and votes.
      pixel_hash: SHA-256 of its shape and pixels.
    """

    item: Item
    digest: bytes
    pixel_hash: bytes


class PreparedBuilder(  # type: ignore[call-arg]  # TFDS has no types
    tfds.core.GeneratorBasedBuilder, skip_registration=True
):
    """Writes examples that lie in files or in memory; nothing is downloaded.

    Args:
      splits: the examples of each stored split.
      features: keywords of `example_features`.
      metadata: stored next to the data: fingerprint, source_format, counts.
      on_item: called after each example that is handed to the writer.
      **kwargs: keywords of `tfds.core.GeneratorBasedBuilder` (data_dir, config, file_format).
    """

    VERSION = tfds.core.Version(local.VERSION)
    HOMEPAGE: ClassVar[str | None] = None

    def __init__(
        self,
        *,
        splits: Mapping[str, Sequence[Checked]],
        features: Mapping[str, Any],
        metadata: Mapping[str, Any],
        on_item: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ):
        self._splits = splits
        self._features = dict(features)
        self._metadata = dict(metadata)
        self._on_item = on_item
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=example_features(**self._features),
            supervised_keys=("image", "label"),
            homepage=self.HOMEPAGE,
            metadata=tfds.core.MetadataDict(self._metadata),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        del dl_manager
        return {name: self._generate_examples(split) for name, split in self._splits.items()}

    def _generate_examples(self, examples: Sequence[Checked]) -> Iterator[tuple[str, dict]]:
        # TFDS orders examples by the hash of the key given here. The key is the content, so that
        # equal fingerprints mean equal order, whatever format the images came in.
        copies: dict[bytes, int] = {}
        for example in examples:
            copy = copies.get(example.digest, 0)
            copies[example.digest] = copy + 1
            item, image = example.item, example.item.image()
            record: dict[str, Any] = {
                "image": io.BytesIO(image) if isinstance(image, bytes) else image,
                "label": item.label,
                "key": item.key,
                "pixel_hash": example.pixel_hash.hex(),
                "subject": item.subject,
            }
            if item.votes:
                record["votes"] = list(item.votes)
            yield f"{example.digest.hex()}-{copy}", record
            self._on_item()


class Fer2013(PreparedBuilder):
    """48x48 grey faces with seven expressions; splits train, validation and test.

    Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning
    contests", 2013.
    """

    HOMEPAGE = "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"


class FerPlus(PreparedBuilder):
    """The images of FER2013 with ten votes each for eight expressions, unknown and no face.

    Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
    Label Distribution", 2016.
    """

    HOMEPAGE = "https://github.com/microsoft/FERPlus"


class RafDb(PreparedBuilder):
    """Aligned 100x100 colour faces with the seven basic expressions; splits train and test.

    Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression
    Recognition in the Wild", 2017.
    """

    HOMEPAGE = "http://www.whdeld.cn/RAF/model1.html"


class CkPlus(PreparedBuilder):
    """The last three frames of 327 posed sequences of 118 persons, cropped to the face.

    Lucey et al., "The Extended Cohn-Kanade Dataset (CK+): A complete dataset for action unit and
    emotion-specified expression", 2010.
    """

    HOMEPAGE = "https://www.jeffcohn.net/Resources/"


class ImageFolder(PreparedBuilder):
    """A user's own images, in one folder for each class; a name of their own tells them apart."""
