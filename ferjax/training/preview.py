"""Training images as the network gets them, beside the stored ones: a check before hours are spent.

Shapes: R images, V visits, h w c stored, S side and C channels of the network's input.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from ferjax.data.pipeline import batches
from ferjax.data.pipeline.batches import Batch, Table
from ferjax.data.pipeline.preprocess import Preprocessing
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

    def rows(self, names: Sequence[str]) -> list[tuple[str, list[UInt8[np.ndarray, "_ _ _"]]]]:
        """A row for each image: a text, the stored image, and all visits."""
        return [
            (f"{names[label]}: stored, then as trained on", [stored, *shown])
            for stored, label, shown in zip(self.stored, self.labels, self.shown, strict=True)
        ]


def preview(run: Experiment, images: int, visits: int) -> Preview:
    """The first images of the first epoch, and how they look in the first epochs.

    Args:
      run: the parts of a run; its data are opened.
      images: R; at most a batch.
      visits: V: epochs in which they are visited.

    Raises:
      UserError: the data set is not there, or has fewer images than a batch.
    """
    reader = run.training_input()
    first = next(reader)
    reader.close()
    return of_batch(run, reader.table, first, images, visits)


def of_batch(
    run: Experiment, table: Table | None, first: Batch, images: int, visits: int
) -> Preview:
    """`preview` of a batch that was read, and the table that it refers to."""
    stored, labels, _ = jax.device_get(jax.jit(batches.gather)(table, first))
    shown = []
    for epoch in range(visits):
        batch = dataclasses.replace(first, epoch=np.int32(epoch))
        shown.append(np.asarray(run.input_step(table, batch))[:images])
    return Preview(
        stored=stored[:images].astype(np.uint8),
        labels=labels[:images],
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
