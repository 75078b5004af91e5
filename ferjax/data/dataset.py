"""The one way to prepared data: `open_dataset(name)`, then `.load(split)`.

Opening a data set reads only its description. Labels of a stored test split are read when that
split is loaded (`RunData.examples`), and not before. Two kinds of schemes (see `splitters`) need
labels earlier: `ballots` counts examples by their votes, and `folds` and `shares` draw the splits
from all images.

Shape letters: N examples, H W C image, K classes.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from ferjax import filesystem, stored_json
from ferjax.data import catalog
from ferjax.data.catalog import DatasetSpec
from ferjax.data.examples import Examples as Examples
from ferjax.data.examples import Images
from ferjax.data.labels import LabelSpace
from ferjax.data.splits import splitters
from ferjax.data.splits.splitters import Part
from ferjax.data.storage import local, remote
from ferjax.data.storage.fingerprint import of_splits
from ferjax.data.storage.local import default_data_dir as default_data_dir
from ferjax.data.storage.records import Index, RecordImages, StoredSplit
from ferjax.errors import UserError, nearest


class Source:
    """A prepared data set.

    Args:
      spec: its entry in the catalog.
      builder: a TFDS builder of the finished data set, for reading.
      options: options of its scheme that differ from their defaults.

    Attributes:
      name: its name in the catalog.
      labels: its classes.
      image_shape: (H, W, C) of every image.
      num_examples: the number of examples of each split, counted on first use.
      fingerprint: 64 hex digits of the content of all stored splits.
      stored: the names of the stored splits.

    Raises:
      UserError: the prepared data have other classes than the catalog.
    """

    name: str
    labels: LabelSpace
    image_shape: tuple[int, int, int]
    fingerprint: str
    stored: tuple[str, ...]

    def __init__(self, spec: DatasetSpec, builder: Any, options: Mapping[str, Any] | None = None):
        self._spec, self._builder, self._options = spec, builder, dict(options or {})
        names = _checked_names(builder)
        if spec.labels is not None and names != spec.labels.names:
            raise UserError(
                f"{builder.data_dir} has the classes {', '.join(names)}, and {spec.title} has "
                f"{', '.join(spec.labels.names)}: prepare it again with --overwrite."
            )
        self.name = spec.name
        self.labels = spec.labels or LabelSpace(self._options["name"], names)
        self.image_shape = tuple(builder.info.features["image"].shape)
        self.stored = tuple(builder.info.splits)
        self.fingerprint = builder.info.metadata["fingerprint"]
        self.num_examples = _Sizes(self._size)
        self._splits = {name: StoredSplit(builder, name) for name in self.stored}
        self._indices: dict[str, Index] = {}

    @property
    def leak(self) -> str:
        """What makes a test on these splits optimistic; "" if nothing does."""
        return splitters.leak(self._options)

    @property
    def options(self) -> dict[str, Any]:
        """The options of its scheme, defaults included."""
        return dict(self._options)

    def load(self, split: str, *, in_memory: bool = True) -> Examples:
        """Reads a split.

        Args:
          split: "train", "validation", "test", or several joined by "+".
          in_memory: whether to read the images now; otherwise each is read when it is indexed.

        Returns:
          Its examples, always in the same order for the same fingerprint and options.

        Raises:
          UserError: there is no such split, it has no example, or its files are damaged.
        """
        parts = [part for name in split.split("+") for part in self._parts(name)]
        if not self.num_examples[split]:
            raise UserError(
                f"the {split} split of {self._spec.title} has no example with the options "
                f"{self._options}."
            )
        return self._examples(parts, in_memory)

    def _size(self, split: str) -> int:
        return sum(
            len(self._splits[part.stored]) if part.positions is None else len(part.positions)
            for name in split.split("+")
            for part in self._parts(name)
        )

    @functools.cache  # noqa: B019 - a source lives as long as its process
    def _parts(self, split: str) -> list[Part]:
        if split not in catalog.SPLITS:
            raise UserError(
                f"{self._spec.title} has no split {split!r}.{nearest(split, catalog.SPLITS)} "
                f"There are: {', '.join(catalog.SPLITS)}."
            )
        scheme = splitters.SCHEMES[self._spec.scheme]
        return scheme(split, self._index, self.stored, **self._options)

    def _index(self, stored: str) -> Index:
        """Labels and other facts of a stored split, without its pixels; read once."""
        if stored not in self._indices:
            self._indices[stored] = self._splits[stored].index()
            self._check_read(stored)
        return self._indices[stored]

    def _check_read(self, stored: str) -> None:
        """Checks the labels of a split and, as soon as all splits were read, the fingerprint."""
        labels, known = self._indices[stored].labels, self.labels.num_classes
        digests = {name: split.digest for name, split in self._splits.items()}
        wrong = "has labels that are no classes of it"
        if not len(labels) or (labels.min() >= 0 and labels.max() < known):
            if not all(digests.values()) or of_splits(digests) == self.fingerprint:
                return
            wrong = "does not hold the examples that its fingerprint is of"
        raise UserError(
            f"{self._builder.data_dir} {wrong}: delete that folder and prepare it again."
        )

    def _examples(self, parts: list[Part], in_memory: bool) -> Examples:
        rows = []
        images: list[np.ndarray] = []
        for part in parts:
            if in_memory and part.positions is not None:
                images.append(self._splits[part.stored].images(part.positions))
            elif in_memory:
                self._indices[part.stored], pixels = self._splits[part.stored].read()
                self._check_read(part.stored)
                images.append(pixels)
            index = self._index(part.stored)
            everything = np.arange(len(index.labels))
            rows.append((index, everything if part.positions is None else part.positions))
        kept: Images
        if not in_memory:
            stored = zip(parts, rows, strict=True)
            kept = RecordImages([(self._splits[part.stored], where) for part, (_, where) in stored])
        else:
            kept = images[0] if len(images) == 1 else np.concatenate(images)
        prefixes = [f"{number}/" if len(parts) > 1 else "" for number in range(len(parts))]
        subjects = [index.subjects[row] for index, where in rows for row in where]
        targets = [part.targets for part in parts if part.targets is not None]
        return Examples(
            images=kept,
            labels=np.concatenate(
                [
                    index.labels[where] if part.labels is None else part.labels
                    for part, (index, where) in zip(parts, rows, strict=True)
                ]
            ),
            keys=tuple(
                f"{prefix}{index.keys[row]}"
                for prefix, (index, where) in zip(prefixes, rows, strict=True)
                for row in where
            ),
            pixel_hashes=tuple(index.pixel_hashes[row] for index, where in rows for row in where),
            subjects=tuple(subjects) if any(subjects) else (),
            targets=np.concatenate(targets) if targets else None,
        )


def _checked_names(builder: Any) -> tuple[str, ...]:
    """The class names of prepared data, which a user may have brought."""
    names = list(builder.info.features["label"].names)
    try:
        stored_json.check(names, stored_json.Labels, "classes")
    except stored_json.Unfit as error:
        raise UserError(
            f"{builder.data_dir} {error}: delete that folder and prepare it again."
        ) from None
    return tuple(names)


class _Sizes(Mapping[str, int]):
    """Sizes of splits, each counted on first use."""

    def __init__(self, count: Any):
        self._count = functools.cache(count)

    def __getitem__(self, split: str) -> int:
        return self._count(split)

    def __iter__(self) -> Any:
        return iter(catalog.SPLITS)

    def __len__(self) -> int:
        return len(catalog.SPLITS)


def open_dataset(
    name: str,
    /,
    data_dir: str | os.PathLike | None = None,
    *,
    makes_data: bool = True,
    **options: Any,
) -> Source:
    """Opens a prepared data set; `synthetic` is prepared on first use.

    Args:
      name: one of `catalog.DATASETS`.
      data_dir: where data sets are prepared, local or remote (gs://); `default_data_dir()` if
        None. What is remote is fetched into the user's cache folder (see `remote`); `synthetic` is
        made there.
      makes_data: False refuses `synthetic` that is not prepared yet.
      **options: for `synthetic` the keywords of `builder.prepare_synthetic`; for the others the
        options of their scheme (see `splitters`).

    Raises:
      UserError: there is no such data set or option, or the data set is not prepared; the message
        says how to obtain and prepare it.
    """
    spec = catalog.find(name)
    root = local.resolve(data_dir)
    if spec is catalog.SYNTHETIC:
        # Drawing faces takes imports that no other data set needs.
        from ferjax.data.synthetic.builder import find_synthetic, prepare_synthetic

        parameters = list(inspect.signature(prepare_synthetic).parameters.values())[1:]
        _check_options(name, options, {each.name: each.default for each in parameters})
        if makes_data:
            return Source(spec, prepare_synthetic(remote.local(root), **options))
        there = find_synthetic(remote.local(root), **options)
        if there is None:
            raise UserError(
                f"{spec.title} of these options are not in {root}, and none are made in a folder "
                "that a run's config.json names. Name a folder of yours with --data_dir."
            )
        return Source(spec, there)
    defaults = splitters.options(spec.scheme)
    _check_options(name, options, defaults)
    chosen = defaults | options
    splitters.check(chosen)
    own_name = chosen.get("name", "")
    if spec.labels is None:
        catalog.check_own_name(spec, own_name, "dataset.options.name")
    directory = local.version_dir(root, name, own_name)
    is_remote = filesystem.is_remote(directory)
    builder = (remote if is_remote else local).open_finished(directory)
    if builder is None:
        title = f"{spec.title} named {own_name}" if own_name else spec.title
        half = filesystem.exists(directory)
        state = "only half there (not every file is)" if half else "not prepared"
        raise UserError(f"{title} is {state} in {root}.\n{how_to_prepare(spec, root)}")
    return Source(spec, builder, chosen)


def how_to_prepare(spec: DatasetSpec, data_dir: epath.Path) -> str:
    """How to obtain a data set, and the command that prepares it where it was looked for."""
    where = "" if data_dir == default_data_dir() else f" --data_dir={data_dir}"
    return spec.how_to_obtain + where


def _check_options(name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Refuses unknown options, and values of another type than the default."""
    for option, value in options.items():
        if option not in defaults:
            listing = f"Its options are: {', '.join(defaults)}." if defaults else "It has none."
            raise UserError(
                f"the data set {name} has no option {option!r}.{nearest(option, defaults)} "
                f"{listing}"
            )
        kind = type(defaults[option])
        # An integer may replace a float, but a bool may not replace a number.
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise UserError(
                f"dataset.options.{option} is {value!r}; expected a value like "
                f"{defaults[option]!r}."
            )
