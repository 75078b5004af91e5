"""The synthetic faces as a TFDS builder: rendered, fingerprinted, written as ArrayRecord."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image
from rich.console import Console

from ferjax.cli import progress
from ferjax.data.examples import Examples
from ferjax.data.images import decoding
from ferjax.data.labels import FER2013
from ferjax.data.storage import local, writing
from ferjax.data.storage.features import example_features
from ferjax.data.storage.fingerprint import example_digest, fingerprint, pixel_hash
from ferjax.data.synthetic import faces
from ferjax.errors import UserError

NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 6006, 1001, 2002  # multiples of 7: the classes are balanced
MAX_PER_SPLIT = 7_000_000
MIN_IMAGE_SIZE, MAX_IMAGE_SIZE = 8, 1024

# Where the examples of a split start. The starts are multiples of 7 and further apart than the
# largest split, so that no two splits share a person.
_STARTS = {"train": 0, "validation": 7 << 40, "test": 14 << 40}
_BLOCK = 240  # images between two movements of the progress bar


@dataclasses.dataclass(eq=False)
class SyntheticConfig(tfds.core.BuilderConfig):
    """One variant of the data set; its name, and so its directory, contains every option."""

    name: str = dataclasses.field(init=False)
    image_size: int = 48
    channels: int = 1
    seed: int = 0
    num_train: int = NUM_TRAIN
    num_validation: int = NUM_VALIDATION
    num_test: int = NUM_TEST
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        self.name = (
            f"{self.image_size}x{self.image_size}x{self.channels}"
            f"_seed{self.seed}_{self.num_train}_{self.num_validation}_{self.num_test}"
            + (f"_jpeg{self.jpeg_quality}" if self.jpeg_quality else "")
        )

    def sizes(self) -> dict[str, int]:
        """How many examples each split has."""
        return {
            "train": self.num_train,
            "validation": self.num_validation,
            "test": self.num_test,
        }


class Synthetic(tfds.core.GeneratorBasedBuilder):
    """Rendered faces with seven expressions made of facial action units; nobody real is shown."""

    VERSION = tfds.core.Version(local.VERSION)

    def __init__(self, *, on_example: Callable[[], None] = lambda: None, **kwargs: Any):
        """Creates the builder.

        Args:
          on_example: called after each image that is rendered.
          **kwargs: keywords of `tfds.core.GeneratorBasedBuilder` (config, data_dir, file_format).
        """
        self._on_example = on_example
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=example_features(
                image_shape=(config.image_size, config.image_size, config.channels),
                names=FER2013.names,
                as_files=config.jpeg_quality > 0,
            ),
            supervised_keys=("image", "label"),
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        del dl_manager  # Nothing is downloaded.
        splits = {
            name: render_split(name, size, self.builder_config, self._on_example)
            for name, size in self.builder_config.sizes().items()
        }
        files: dict[str, list[bytes]] = {}
        if quality := self.builder_config.jpeg_quality:
            for name, examples in splits.items():
                files[name] = [_jpeg(image, quality) for image in np.asarray(examples.images)]
                channels = self.builder_config.channels
                pixels = [decoding.decode(file, name, channels) for file in files[name]]
                splits[name] = dataclasses.replace(examples, images=np.stack(pixels))
        self.info.metadata.update(
            fingerprint=fingerprint(
                {
                    name: map(example_digest, np.asarray(examples.images), examples.labels)
                    for name, examples in splits.items()
                }
            ),
            source_format="rendered",
            counts={
                name: list(examples.counts(FER2013.num_classes))
                for name, examples in splits.items()
            },
        )
        return {
            name: self._generate_examples(examples, files.get(name, []))
            for name, examples in splits.items()
        }

    def _generate_examples(
        self, examples: Examples, files: list[bytes]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        images = np.asarray(examples.images)
        rows = zip(images, examples.labels, examples.keys, strict=True)
        for number, (image, label, key) in enumerate(rows):
            yield (
                key,
                {
                    "image": io.BytesIO(files[number]) if files else image,
                    "label": int(label),
                    "key": key,
                    "pixel_hash": pixel_hash(image).hex(),
                    "subject": key.rsplit("-", 1)[0],
                },
            )


def render_split(
    name: str, size: int, config: SyntheticConfig, on_example: Callable[[], None]
) -> Examples:
    """The first `size` examples of the split train, validation or test."""
    indices = _STARTS[name] + np.arange(size)
    blocks = []
    for start in range(0, size, _BLOCK):
        block = indices[start : start + _BLOCK]
        blocks.append(
            faces.render_faces(
                block,
                seed=config.seed,
                image_size=config.image_size,
                channels=config.channels,
            )
        )
        for _ in block:
            on_example()
    labels = faces.labels_of(indices).astype(np.int32)
    people = faces.identities_of(indices - _STARTS[name])
    keys = tuple(
        f"{name}-person{person:06d}-{FER2013.names[label]}"
        for person, label in zip(people, labels, strict=True)
    )
    return Examples(images=np.concatenate(blocks), labels=labels, keys=keys)


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    """A JPEG file of uint8 [H, W, C]."""
    file = io.BytesIO()
    planes = image[..., 0] if image.shape[2] == 1 else image
    Image.fromarray(planes).save(file, "JPEG", quality=quality)
    return file.getvalue()


def prepare_synthetic(
    data_dir: str | os.PathLike,
    *,
    image_size: int = 48,
    channels: int = 1,
    seed: int = 0,
    num_train: int = NUM_TRAIN,
    num_validation: int = NUM_VALIDATION,
    num_test: int = NUM_TEST,
    jpeg_quality: int = 0,
) -> Any:
    """Renders the data set into `data_dir` unless it is there.

    The folder of the data set gets its name when everything has been written: an interrupted
    preparation leaves none. A progress bar shows if standard error is a terminal.

    Args:
      data_dir: root of all data sets.
      image_size: H = W in pixels.
      channels: 1 (grey) or 3 (RGB).
      seed: another seed shows other people in other pictures.
      num_train: number of images of this split. Seven images show the seven expressions of one
        person, so that a multiple of 7 gives balanced classes.
      num_validation: number of images of this split, likewise.
      num_test: number of images of this split, likewise.
      jpeg_quality: 1 to 95 to store JPEG files, like photographs; 0 for the pixels themselves.

    Returns:
      The TFDS builder of the finished data set, for reading.

    Raises:
      UserError: an option is out of range, or `data_dir` cannot be written.
    """
    config = SyntheticConfig(
        image_size=image_size,
        channels=channels,
        seed=seed,
        num_train=num_train,
        num_validation=num_validation,
        num_test=num_test,
        jpeg_quality=jpeg_quality,
    )
    _check(config)
    return _made(config, epath.Path(data_dir))


def find_synthetic(data_dir: str | os.PathLike, **options: int) -> Any | None:
    """What `prepare_synthetic` returns, if it is there; None if not."""
    config = SyntheticConfig(**options)
    _check(config)
    return local.open_finished(_directory(config, epath.Path(data_dir)))


def _directory(config: SyntheticConfig, root: epath.Path) -> epath.Path:
    return root / "synthetic" / config.name / local.VERSION


def _made(config: SyntheticConfig, root: epath.Path) -> Any:
    """The builder of the finished data set, which is rendered unless it is there."""
    directory = _directory(config, root)
    there = local.open_finished(directory)
    if there is not None:
        return there
    console = Console(stderr=True, quiet=not sys.stderr.isatty())

    def on_wait() -> None:
        console.print("another preparation is writing here; waiting for it to end")

    try:
        with local.exclusive(directory.parent, on_wait, root=root):
            if local.open_finished(directory) is None:
                total = sum(config.sizes().values())
                with (
                    local.replaced(directory),
                    progress.bar(console, "rendering faces", total) as on_example,
                ):
                    writing.write(
                        lambda: Synthetic(
                            on_example=on_example,
                            config=config,
                            data_dir=root,
                            file_format="array_record",
                        )
                    )
    except OSError as error:
        raise writing.refused(directory, error) from error
    return local.open_finished(directory)


def _check(config: SyntheticConfig) -> None:
    ranges = {
        "image_size": (MIN_IMAGE_SIZE, MAX_IMAGE_SIZE),
        "seed": (0, 2**63 - 1),
        "num_train": (1, MAX_PER_SPLIT),
        "num_validation": (1, MAX_PER_SPLIT),
        "num_test": (1, MAX_PER_SPLIT),
        "jpeg_quality": (0, 95),
    }
    for field, (low, high) in ranges.items():
        value = getattr(config, field)
        if not low <= value <= high:
            raise UserError(f"synthetic: {field} must be from {low} to {high}, found {value}.")
    if config.channels not in (1, 3):
        raise UserError(
            f"synthetic: channels must be 1 (grey) or 3 (RGB), found {config.channels}."
        )
