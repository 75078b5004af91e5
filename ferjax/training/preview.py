"""Training images as the network gets them, beside the stored ones: a check before hours are spent.

Shapes: R images, V visits, h w c stored, S side and C channels of the network's input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from ferjax.data.pipeline.batches import Batch, make_table
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.distributed import sharding
from ferjax.training.experiment import Experiment


class Preview(NamedTuple):
    """Images of the training split.

    Attributes:
      stored: as they are stored.
      labels: their classes.
      shown: grey levels as the network gets them at each visit: augmented, cropped, mixed, resized.
        Normalisation is undone.
    """

    stored: UInt8[np.ndarray, "R h w c"]
    labels: Int[np.ndarray, " R"]
    shown: UInt8[np.ndarray, "R V S S C"]


def preview(run: Experiment, images: int, visits: int) -> Preview:
    """The first images of the first epoch, and how they look in the first epochs.

    Args:
      run: the parts of a run; its data are opened.
      images: R; at most a batch.
      visits: V: epochs in which they are visited.

    Raises:
      UserError: the data set is not there, or has fewer images than a batch.
    """
    size = run.config.train.batch_size
    reader = run.training_input(placement="host")
    first = next(reader)
    reader.close()
    rows = np.asarray(first.indices)
    examples = run.data.source.load("train", in_memory=True)
    table = make_table(examples, run.mesh)
    shown = []
    for epoch in range(visits):
        given = Batch(rows.astype(np.int32), {}, np.int32(epoch), _visits(first, size))
        batch = sharding.shard_batch(given, run.mesh)
        shown.append(np.asarray(run.input_step(table, batch))[:images])
    return Preview(
        stored=np.asarray(examples.images[rows[:images]]),
        labels=examples.labels[rows[:images]],
        shown=np.stack([grey_levels(run.spec.preprocessing, one) for one in shown], axis=1),
    )


def grey_levels(
    preprocessing: Preprocessing, images: Float[np.ndarray, "B S S C"]
) -> UInt8[np.ndarray, "B S S C"]:
    """Undoes the normalisation of the network's input, and the order of its channels."""
    levels = 255.0 * (images * np.array(preprocessing.std) + np.array(preprocessing.mean))
    if preprocessing.order == "bgr":
        levels = levels[..., ::-1]
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


def _visits(batch: Batch, size: int) -> np.ndarray | None:
    return None if batch.visits is None else np.zeros(size, np.int32)
