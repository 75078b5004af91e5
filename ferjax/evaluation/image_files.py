"""Image files that an evaluation reads batch by batch, and what it learns of them meanwhile.

Shapes: N files, B of them, h w c the native shape of a model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int, Shaped, UInt8

from ferjax.data.examples import Examples
from ferjax.data.images import files, remarks
from ferjax.data.pipeline import batches
from ferjax.data.pipeline.batches import Batch
from ferjax.data.storage.fingerprint import pixel_hash
from ferjax.distributed import sharding
from ferjax.errors import UserError


class ImageFiles:
    """Image files, each read when it is indexed, as prediction reads it.

    Args:
      paths: the files.
      native_shape: (h, w, c) that a model was trained on, before its own preprocessing.

    Attributes:
      problems: why a file could not be read, by its position, of those that were indexed.
      remarks: what is worth saying about a file that was indexed, by its position (see `remarks`).
      hashes: the hash of the pixels of those that were indexed and read, by their position.
    """

    dtype = np.uint8

    def __init__(self, paths: Sequence[Path], native_shape: tuple[int, int, int]):
        self.paths, self._native_shape = paths, native_shape
        self.problems: dict[int, str] = {}
        self.remarks: dict[int, tuple[str, ...]] = {}
        self.hashes: dict[int, bytes] = {}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, h, w, c)."""
        return (len(self), *self._native_shape)

    def __len__(self) -> int:
        return len(self.paths)

    def sentences(self) -> tuple[str, ...]:
        """What is worth saying about the files that were indexed."""
        tally = remarks.Tally()
        for index, found in sorted(self.remarks.items()):
            tally.add(found, str(self.paths[index]))
        return tally.sentences()

    def __getitem__(self, indices: Any, /) -> UInt8[np.ndarray, "B h w c"]:
        """The images at an array of indices; zeros for one that cannot be read."""
        # The padding of a batch repeats a position.
        positions, rows = np.unique(indices, return_inverse=True)
        images = np.zeros((len(positions), *self._native_shape), np.uint8)
        for row, index in enumerate(positions.tolist()):
            with remarks.collected() as found:
                try:
                    images[row] = files.read(self.paths[index], self._native_shape)
                except UserError as error:
                    self.problems[index] = str(error)
                    continue
            self.hashes[index] = pixel_hash(images[row])
            if found.kinds():
                self.remarks[index] = found.kinds()
        return images[rows]


def read_once(
    images: ImageFiles,
    labels: Int[np.ndarray, " N"],
    groups: dict[str, Shaped[np.ndarray, " N"]],
    *,
    seen: Collection[bytes] | None,
    clean: str,
    batch_size: int,
    mesh: Mesh,
    num_threads: int,
    on_image: Callable[[], None],
) -> Iterator[Batch]:
    """One pass in order that reads each file once and counts those that can be read.

    Which images can be read and have new pixels is known only when they are read, so that the
    groups of a batch are made after its images.

    Args:
      images: the files.
      labels: the model's class of each.
      groups: masks by the name of the group, of which what cannot be read is taken out.
      seen: pixel hashes of images that are not clean; None if they are not known.
      clean: the name of a further group, of the images that are not among `seen` and whose pixels
        no earlier image has; made unless `seen` is None.
      batch_size: images of a batch.
      mesh: the devices.
      num_threads: threads that read; 0: one per core.
      on_image: called after each image.
    """
    examples = Examples(images, labels, keys=tuple(map(str, images.paths)))
    read = batches.evaluation_batches(
        examples,
        batch_size=batch_size,
        placement="stream",
        mesh=mesh,
        groups={},
        num_threads=num_threads,
    )
    known = set(seen or ())
    for number, batch in enumerate(read):
        start = number * batch_size
        masks = {
            name: np.zeros(batch_size, bool)
            for name in (*groups, *([] if seen is None else [clean]))
        }
        for row, index in enumerate(range(start, min(start + batch_size, len(images)))):
            on_image()
            if index in images.problems:
                continue
            for name, members in groups.items():
                masks[name][row] = members[index]
            if seen is not None:
                masks[clean][row] = images.hashes[index] not in known
                known.add(images.hashes[index])
        mine = {name: mask[batches.process_rows(batch_size)] for name, mask in masks.items()}
        yield dataclasses.replace(batch, groups=sharding.shard_batch(mine, mesh))
