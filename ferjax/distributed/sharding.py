"""The mesh of all devices and how arrays are placed on it.

There is one axis, "data": batches are split over it. Everything else is replicated, or, to save
memory, large parameters and their optimizer state are split by `over_devices`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ferjax.distributed import forks
from ferjax.errors import UserError

DATA_AXIS = "data"


PLACEMENTS = ("replicated", "sharded")
# Arrays with fewer elements stay whole: gathering them would cost more than they take.
_MIN_SHARDED = 1 << 14


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A one-axis mesh over some devices, by default over every device of every process.

    The processes come in their order, so that each reads contiguous rows of a global batch.

    Raises:
      UserError: see `forks.check`.
    """
    forks.check()
    chosen = jax.devices() if devices is None else devices
    ordered = sorted(chosen, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of arrays that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """The sharding of arrays that are split over their leading axis."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def over_devices(tree: Any, mesh: Mesh, placement: str) -> Any:
    """The sharding of each array of a training state, by its shape alone.

    Args:
      tree: arrays or their shapes.
      mesh: the mesh of `make_mesh`.
      placement: "replicated", or "sharded": arrays of 16,384 elements and more are split along
        their longest axis that divides evenly over the devices, the last of equal ones. The
        compiler gathers parameters where they are used and scatters the sums of their gradients.

    Raises:
      ValueError: another placement.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"placement is {placement!r}; expected one of {PLACEMENTS}")

    def of(leaf: Any) -> NamedSharding:
        fitting = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if placement == "replicated" or math.prod(leaf.shape) < _MIN_SHARDED or not fitting:
            return replicated(mesh)
        longest = max(fitting, key=lambda axis: (leaf.shape[axis], axis))
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, DATA_AXIS))

    return jax.tree.map(of, tree)


def place(tree: Any, shardings: Any) -> Any:
    """Places host values, the same on every process, each by its sharding."""
    forks.check()
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(put, tree, shardings)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Places the same host values whole on every device."""
    return place(tree, jax.tree.map(lambda _: replicated(mesh), tree))


def shard_batch(tree: Any, mesh: Mesh) -> Any:
    """Builds global arrays from this process's rows of a batch.

    Args:
      tree: arrays whose leading axis holds this process's contiguous part of the global batch;
        scalars are replicated.
      mesh: the mesh of `make_mesh`.
    """
    forks.check()

    def place(leaf: Any) -> jax.Array:
        array = np.asarray(leaf)
        sharding = by_batch(mesh) if array.ndim else replicated(mesh)
        if jax.process_count() == 1:
            return jax.device_put(array, sharding)
        return jax.make_array_from_process_local_data(sharding, array)

    return jax.tree.map(place, tree)


def check_batch_size(field: str, batch_size: int, mesh: Mesh, *, parts: int = 1) -> None:
    """Refuses a global batch that does not split evenly.

    Args:
      field: name of the config field, for the message.
      batch_size: examples of a global batch.
      mesh: the mesh it is split over.
      parts: micro-batches each batch is cut into first.

    Raises:
      UserError: with the two nearest sizes that work.
    """
    unit = mesh.size * parts
    if batch_size > 0 and batch_size % unit == 0:
        return
    lower = batch_size // unit * unit
    fits = " or ".join(str(size) for size in (lower, lower + unit) if size > 0)
    pieces = f"{mesh.size} devices" + (f" x {parts} accumulation steps" if parts > 1 else "")
    raise UserError(
        f"{field} is {batch_size}, which does not divide evenly over {pieces}; use {fits}."
    )
