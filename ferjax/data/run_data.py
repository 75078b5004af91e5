"""The data set of a run: its splits, where their pixels lie, and the batches made of them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from ferjax.data import catalog
from ferjax.data.dataset import Source, open_dataset
from ferjax.data.examples import Examples
from ferjax.data.pipeline import batches
from ferjax.data.splits.clean import clean_test_mask

OTHER_SPLITS = {split: catalog.other_splits(split) for split in ("test", "validation+test")}


class RunData:
    """A prepared data set as a run uses it; nothing is opened or read before its first use.

    Args:
      mesh: the devices that the batches are for.
      name: its name in the catalog.
      data_dir: where it is prepared; "": the usual folder.
      placement: where the pixels are, "device", "host", "stream" or "auto" (see `batches`).
      limit_mib: for "auto", the largest size in MiB of a split's decoded pixels on each device.
      num_threads: threads that read and decode for "stream"; 0: one per core.
      options: the data set's own options.
      makes_data: whether synthetic faces are made there if they are not there.
    """

    def __init__(
        self,
        mesh: Mesh,
        *,
        name: str,
        data_dir: str,
        placement: str,
        limit_mib: int,
        num_threads: int,
        options: Mapping[str, Any],
        makes_data: bool = True,
    ):
        self.mesh = mesh
        self.name = name
        self.data_dir = data_dir
        self.num_threads = num_threads
        self.makes_data = makes_data
        self._placement = placement
        self._limit_mib = limit_mib
        self._options = dict(options)

    @functools.cached_property
    def source(self) -> Source:
        """The prepared data set, opened; its pixels are not read yet."""
        return open_dataset(
            self.name, self.data_dir or None, makes_data=self.makes_data, **self._options
        )

    @functools.cache  # noqa: B019 - it lives as long as its process
    def examples(self, split: str) -> Examples:
        """A split, its images in memory unless they stream; "validation+test" is both in a row."""
        return self.source.load(split, in_memory=self.placement(split) != "stream")

    @functools.cache  # noqa: B019
    def placement(self, split: str) -> str:
        """Where the pixels of a split are: "device", "host" or "stream"."""
        return self._resolved(self._placement, split)

    def _resolved(self, placement: str, split: str) -> str:
        if placement != "auto":  # nothing needs to be opened and counted
            return placement
        num_bytes = self.source.num_examples[split] * int(np.prod(self.source.image_shape))
        return batches.choose_placement(placement, num_bytes, self._limit_mib)

    def training_input(
        self, *, batch_size: int, seed: int, sampling: str, placement: str | None = None
    ) -> batches.TrainingInput:
        """Training batches for the devices.

        Args:
          batch_size: B.
          seed: the seed of the order.
          sampling: see `order`.
          placement: another placement than the run's; None for the run's.
        """
        if placement is None:
            placement, examples = self.placement("train"), self.examples("train")
        else:
            placement = self._resolved(placement, "train")
            examples = self.source.load("train", in_memory=placement != "stream")
        return batches.TrainingInput(
            examples,
            batch_size=batch_size,
            seed=seed,
            placement=placement,
            mesh=self.mesh,
            sampling=sampling,
            num_threads=self.num_threads,
        )

    def groups(self, split: str) -> dict[str, Bool[np.ndarray, " N"]]:
        """Masks of a split: all examples and, if it contains the test split, the clean ones."""
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

    def pixel_hashes(self, splits: Sequence[str]) -> tuple[bytes, ...]:
        """The pixel hashes of all images of some splits."""
        source = self.source
        return tuple(
            content
            for split in sorted(set(splits))
            if source.num_examples[split]
            for content in source.load(split, in_memory=False).pixel_hashes
        )

    def evaluation_batches(
        self, split: str, groups: Mapping[str, Bool[np.ndarray, " N"]], *, batch_size: int
    ) -> Iterator[batches.Batch]:
        """One exact pass over a split."""
        return batches.evaluation_batches(
            self.examples(split),
            batch_size=batch_size,
            placement=self.placement(split),
            mesh=self.mesh,
            groups=groups,
            num_threads=self.num_threads,
        )
