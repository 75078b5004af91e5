"""The mesh of all devices and how arrays are placed on it.

There is one axis, "data": batches are split over it, everything else is replicated.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ferjax.errors import UserError

DATA_AXIS = "data"


def make_mesh() -> Mesh:
    """A one-axis mesh over every device of every process."""
    return jax.make_mesh((jax.device_count(),), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def by_batch(mesh: Mesh) -> NamedSharding:
    """The sharding of what is split over its leading axis."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Places the same host values whole on every device."""
    sharding = replicated(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree
    )


def shard_batch(tree: Any, mesh: Mesh) -> Any:
    """Builds global arrays from this process's rows of a batch.

    Args:
      tree: arrays whose leading axis holds this process's contiguous part of the global batch;
        scalars are replicated.
      mesh: the mesh of `make_mesh`.
    """

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
