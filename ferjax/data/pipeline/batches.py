"""Batches for the devices, wherever the pixels are.

The pixels are on the device, which gathers a batch by index (`placement="device"`), in host memory,
from which batches are sent one by one (`placement="host"`), or in files, which threads read and
decode ahead of the devices (`placement="stream"`). All give the same batches. Shapes: N examples,
B batch, H W C image, K classes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any, no_type_check

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from ferjax.data.examples import Examples
from ferjax.data.pipeline.order import Rows, training_order
from ferjax.distributed import sharding
from ferjax.errors import UserError

PLACEMENTS = ("device", "host", "stream")
# The largest total size of the batches that are read ahead while streaming.
_AHEAD_BYTES = 1 << 30
_MAX_AHEAD = 32


# Its leaves may also be shapes or shardings, which no check of types is to refuse.
@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Table:
    """A whole split on the device, replicated. A pytree.

    Attributes:
      images: uint8 [N, H W C], one image in each row. From [N, H, W, C] a TPU could gather only
        after copying the whole table into another order, in every step.
      labels: int32 [N].
      targets: float32 [N, K], or None where the labels are the targets.
      image_shape: (H, W, C).
    """

    images: UInt8[Array | np.ndarray, "N P"]
    labels: Int[Array | np.ndarray, " N"]
    targets: Float[Array | np.ndarray, "N K"] | None = None
    image_shape: tuple[int, int, int] = dataclasses.field(kw_only=True, metadata={"static": True})


# Its leaves may also be shapes or shardings, which no check of types is to refuse.
@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """One global batch. A pytree.

    Attributes:
      indices: int32 [B], position of each example in its split; 0 for the padding of evaluation.
      groups: bool [B] by the name of a group of examples, True for the rows that belong to it;
        padding belongs to none.
      epoch: int32 scalar, the epoch the batch belongs to, counted from 0.
      visits: int32 [B], see `order.Rows`; None where no example repeats within an epoch.
      images: uint8 [B, H, W, C], or None where a `Table` holds them.
      labels: int32 [B], or None likewise.
      targets: float32 [B, K], or None where a `Table` holds them or there are none.
    """

    indices: Int[Array | np.ndarray, " B"]
    groups: Mapping[str, Bool[Array | np.ndarray, " B"]]
    epoch: Int[Array, ""] | np.int32
    visits: Int[Array | np.ndarray, " B"] | None = None
    images: UInt8[Array | np.ndarray, "B H W C"] | None = None
    labels: Int[Array | np.ndarray, " B"] | None = None
    targets: Float[Array | np.ndarray, "B K"] | None = None


def gather(
    table: Table | None, batch: Batch
) -> tuple[Float[Array, "B H W C"], Int[Array, " B"], Float[Array, "B K"] | None]:
    """Images in grey levels 0..255 as float32, labels and targets, inside the compiled step."""
    if table is not None:
        held = jax.tree.map(lambda column: column[batch.indices], table)
        images = held.images.reshape(-1, *table.image_shape)
        labels, targets = held.labels, held.targets
    elif batch.images is not None and batch.labels is not None:
        images, labels, targets = batch.images, batch.labels, batch.targets
    else:
        raise ValueError("a batch without images needs the table that holds them")
    return images.astype(jnp.float32), labels, targets


class TrainingInput:
    """An endless, seekable stream of global batches, placed on the devices.

    Args:
      examples: the training split, with images in memory or as files (for "stream").
      batch_size: examples of a global batch, over all processes.
      seed: the seed of the order.
      placement: one of `PLACEMENTS`.
      mesh: the mesh of all devices; each process reads its contiguous rows of every batch.
      sampling: see `order.training_order`.
      num_threads: threads that read and decode while streaming; 0 for one per core.

    Attributes:
      table: the split on the devices, for "device"; else None.
      ahead: how many batches are read ahead of the devices at most.

    Raises:
      UserError: fewer examples than one batch.
      ValueError: another placement or sampling.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        batch_size: int,
        seed: int,
        placement: str,
        mesh: jax.sharding.Mesh,
        sampling: str = "uniform",
        num_threads: int = 0,
    ):
        if placement not in PLACEMENTS:
            raise ValueError(f"placement is {placement!r}; expected one of {PLACEMENTS}")
        self._mesh = mesh
        on_device = placement == "device"
        mine = process_rows(batch_size)

        def batch(rows: Rows) -> Batch:
            indices = rows.indices[mine]
            visits = None if rows.visits is None else rows.visits[mine]
            made = Batch(indices, {}, np.int32(rows.epoch), visits)
            return made if on_device else _with_images(made, examples)

        order = training_order(examples.labels, batch_size, seed=seed, sampling=sampling)
        options = _read_options(examples, batch_size, placement, num_threads)
        self._iterator = iter(order.map(batch).to_iter_dataset(options))
        self.ahead: int = options.prefetch_buffer_size
        self.table = make_table(examples, mesh) if on_device else None

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return sharding.shard_batch(next(self._iterator), self._mesh)

    @property
    def position(self) -> dict[str, Any]:
        """The position for `seek` to continue exactly here; a JSON object."""
        return dict(self._iterator.get_state())

    def seek(self, position: dict[str, Any]) -> None:
        """Continues after the batches that had been delivered at `position`.

        Raises:
          UserError: that is none.
        """
        try:
            self._iterator.set_state(position)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"The checkpoint has the input position {str(position)[:80]}, which is none "
                f"({error}). Restore the folder from a copy, or start again in an empty workdir."
            ) from None

    def close(self) -> None:
        """Ends grain's reading threads."""
        self._iterator.close()


def evaluation_batches(
    examples: Examples,
    *,
    batch_size: int,
    placement: str,
    mesh: jax.sharding.Mesh,
    groups: Mapping[str, Bool[np.ndarray, " N"]],
    num_threads: int = 0,
) -> Iterator[Batch]:
    """One exact pass in order; the last batch is padded and the padding masked.

    Args:
      examples: the split.
      batch_size: examples of a global batch, over all processes.
      placement: one of `PLACEMENTS`; with "device" batches carry neither pixels nor labels, which a
        `Table` holds.
      mesh: the mesh of all devices.
      groups: masks of the split's examples, by the name of the group.
      num_threads: threads that read and decode while streaming; 0 for one per core.
    """
    mine = process_rows(batch_size)
    total = len(examples)

    def batch(number: int) -> Batch:
        start = number * batch_size
        indices = np.arange(start, start + batch_size, dtype=np.int32)[mine]
        real = indices < total
        indices = np.where(real, indices, 0).astype(np.int32)
        counted = {name: member[indices] & real for name, member in groups.items()}
        made = Batch(indices, counted, np.int32(0))
        return made if placement == "device" else _with_images(made, examples)

    numbers = grain.MapDataset.range(-(-total // batch_size))
    options = _read_options(examples, batch_size, placement, num_threads)
    iterator = iter(numbers.map(batch).to_iter_dataset(options))
    try:
        for made in iterator:
            yield sharding.shard_batch(made, mesh)
    finally:
        iterator.close()


def make_table(examples: Examples, mesh: jax.sharding.Mesh) -> Table:
    """Copies a split to every device as uint8 images, int32 labels, and targets if it has any."""
    images = np.asarray(examples.images)
    _, height, width, channels = images.shape
    rows = images.reshape(len(images), height * width * channels)
    table = Table(rows, examples.labels, examples.targets, image_shape=(height, width, channels))
    return sharding.replicate(table, mesh)


def process_rows(batch_size: int) -> slice:
    """The contiguous rows of a global batch that this process reads."""
    share = batch_size // jax.process_count()
    return slice(jax.process_index() * share, (jax.process_index() + 1) * share)


def choose_placement(placement: str, num_bytes: int, limit_mib: int) -> str:
    """Where a split's pixels go: `placement`, or for "auto" the device if they fit, else "stream".

    Args:
      placement: the config's, "auto" or one of `PLACEMENTS`.
      num_bytes: the size of the split's decoded pixels.
      limit_mib: the largest size in MiB that may lie on each device.
    """
    if placement == "auto":
        return "device" if num_bytes <= limit_mib << 20 else "stream"
    return placement


def _with_images(batch: Batch, examples: Examples) -> Batch:
    targets = None if examples.targets is None else examples.targets[batch.indices]
    return dataclasses.replace(
        batch,
        images=examples.images[batch.indices],
        labels=examples.labels[batch.indices],
        targets=targets,
    )


def _read_options(
    examples: Examples, batch_size: int, placement: str, num_threads: int
) -> grain.ReadOptions:
    """How many threads read how many batches ahead; a thread reads a whole batch at a time.

    Threads and not processes: decoding a JPEG releases the GIL, and batches need not be copied from
    one process to another.
    """
    if placement != "stream":
        return grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
    threads = num_threads or os.cpu_count() or 1
    batch_bytes = batch_size // jax.process_count() * int(np.prod(examples.images.shape[1:]))
    ahead = max(2, min(2 * threads, _MAX_AHEAD, _AHEAD_BYTES // max(batch_bytes, 1)))
    return grain.ReadOptions(num_threads=min(threads, ahead), prefetch_buffer_size=ahead)
