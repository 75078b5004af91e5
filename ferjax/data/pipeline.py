"""The order of the examples and the batches on their way to the devices.

grain decides the order; the pixels lie on the device and are gathered there by index
(`placement="device"`), or lie in host memory and are sent batch by batch (`placement="host"`).
Both give the same batches. Shapes: N examples, B batch, H W C image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ferjax import sharding
from ferjax.data.examples import Examples
from ferjax.errors import UserError, nearest

PLACEMENTS = ("device", "host")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Table:
    """A whole split on the device, replicated. A pytree.

    Attributes:
      images: uint8 [N, H, W, C].
      labels: int32 [N].
    """

    images: Any
    labels: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """One global batch. A pytree.

    Attributes:
      indices: int32 [B], position of each example in its split; 0 for the padding of evaluation.
      groups: bool [B] for each named group of examples, whether a row counts in it; padding counts
        in none.
      epoch: int32 scalar, the epoch the batch belongs to, counted from 0.
      images: uint8 [B, H, W, C], or None where a `Table` holds them.
      labels: int32 [B], or None likewise.
    """

    indices: Any
    groups: dict[str, Any]
    epoch: Any
    images: Any = None
    labels: Any = None


def gather(table: Table | None, batch: Batch) -> tuple[Float[Array, "B H W C"], Int[Array, " B"]]:
    """Images in grey levels 0..255 as float32, and labels, inside the compiled step."""
    if table is not None:
        images, labels = table.images[batch.indices], table.labels[batch.indices]
    elif batch.images is not None and batch.labels is not None:
        images, labels = batch.images, batch.labels
    else:
        raise ValueError("a batch without images needs the table that holds them")
    return images.astype(jnp.float32), labels


def training_order(num_examples: int, batch_size: int, *, seed: int) -> grain.MapDataset:
    """Indices of global batch number s, for s = 0, 1, ...: a random-access grain dataset.

    Every epoch is a new permutation, a function of (seed, epoch), and drops its last partial batch.
    grain's own shuffle takes its elements one by one, some 20 microseconds each; a batch cut from a
    permutation made once per epoch costs as much as one of them.

    Raises:
      UserError: fewer examples than one batch.
    """
    if num_examples < batch_size:
        raise UserError(
            f"train.batch_size is {batch_size}, but the training split has only {num_examples} "
            "examples; use a smaller batch."
        )
    steps_per_epoch = num_examples // batch_size
    permutation = functools.lru_cache(maxsize=2)(
        functools.partial(epoch_permutation, num_examples, seed)
    )

    def batch(number: int, _: int) -> np.ndarray:
        epoch, step = divmod(number, steps_per_epoch)
        return permutation(epoch)[step * batch_size : (step + 1) * batch_size]

    return grain.MapDataset.range(steps_per_epoch).repeat().map_with_index(batch)


def epoch_permutation(num_examples: int, seed: int, epoch: int) -> Int[np.ndarray, " N"]:
    """The order of one epoch: a stable sort of Philox numbers keyed by (seed, epoch).

    Raw numbers rather than NumPy's shuffle, whose stream may change between its releases.
    """
    keys = np.random.Philox(key=[seed, epoch]).random_raw(num_examples)
    return np.argsort(keys, kind="stable").astype(np.int32)


class TrainingInput:
    """An endless, seekable stream of global batches, placed on the devices.

    Args:
      examples: the loaded training split.
      batch_size: examples of a global batch, over all processes.
      seed: of the order.
      placement: "device" or "host".
      mesh: the mesh of all devices; each process reads its contiguous rows of every batch.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int,
        placement: str,
        mesh: jax.sharding.Mesh,
    ):
        check_placement(placement)
        self.steps_per_epoch = len(examples.labels) // batch_size
        self._examples = examples
        self._mesh = mesh
        self._on_host = placement == "host"
        self._rows = process_rows(batch_size)
        self._order = training_order(len(examples.labels), batch_size, seed=seed).to_iter_dataset(
            grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
        )
        self._iterator = iter(self._order)
        self.table = None if self._on_host else make_table(examples, mesh)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        position = self.position["next_index"]
        indices = np.asarray(next(self._iterator), np.int32)[self._rows]
        batch = Batch(
            indices=indices,
            groups={},
            epoch=np.int32(position // self.steps_per_epoch),
            images=self._examples.images[indices] if self._on_host else None,
            labels=self._examples.labels[indices] if self._on_host else None,
        )
        return sharding.shard_batch(batch, self._mesh)

    @property
    def position(self) -> dict[str, Any]:
        """What `seek` needs to go on exactly here; a JSON object."""
        return dict(self._iterator.get_state())

    def seek(self, position: dict[str, Any]) -> None:
        """Continues after the batches that had been delivered at `position`."""
        self._iterator.set_state(position)

    def close(self) -> None:
        """Ends grain's reading thread."""
        self._iterator.close()


def evaluation_batches(
    examples: Examples,
    *,
    batch_size: int,
    on_host: bool,
    mesh: jax.sharding.Mesh,
    groups: Mapping[str, Bool[np.ndarray, " N"]],
) -> Iterator[Batch]:
    """One exact pass in order; the last batch is padded and the padding masked.

    Args:
      examples: the loaded split.
      batch_size: examples of a global batch, over all processes.
      on_host: whether the batches carry pixels and labels, for lack of a `Table`.
      mesh: the mesh of all devices.
      groups: for each named group, which examples of the split belong to it.
    """
    rows = process_rows(batch_size)
    total = len(examples.labels)
    for start in range(0, total, batch_size):
        indices = np.arange(start, start + batch_size, dtype=np.int32)[rows]
        real = indices < total
        indices = np.where(real, indices, 0).astype(np.int32)
        batch = Batch(
            indices=indices,
            groups={name: member[indices] & real for name, member in groups.items()},
            epoch=np.int32(0),
            images=examples.images[indices] if on_host else None,
            labels=examples.labels[indices] if on_host else None,
        )
        yield sharding.shard_batch(batch, mesh)


def make_table(examples: Examples, mesh: jax.sharding.Mesh) -> Table:
    """Copies a split to every device as uint8 images and int32 labels."""
    return sharding.replicate(
        Table(images=examples.images, labels=examples.labels.astype(np.int32)), mesh
    )


def process_rows(batch_size: int) -> slice:
    """The contiguous rows of a global batch that this process reads."""
    share = batch_size // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def check_placement(placement: str) -> None:
    """Raises UserError unless `placement` is one of `PLACEMENTS`."""
    if placement not in PLACEMENTS:
        raise UserError(
            f"dataset.placement is {placement!r}; expected one of {', '.join(PLACEMENTS)}."
            + nearest(placement, PLACEMENTS)
        )
