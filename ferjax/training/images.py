"""The images that TensorBoard gets of a run."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from ferjax.cli import pictures
from ferjax.data.pipeline.batches import Batch, Table
from ferjax.training import preview
from ferjax.training.experiment import Experiment

_IMAGES, _VISITS = 8, 4


def of_training(run: Experiment, table: Table | None, first: Batch) -> dict[str, bytes]:
    """The first training images, stored and as the network gets them, by name.

    None on several processes, each of which holds a part of the batch.
    """
    if jax.process_count() > 1:
        return {}
    number = min(_IMAGES, run.config.train.batch_size)
    found = preview.of_batch(run, table, first, number, _VISITS)
    return {"train/images": pictures.rows_of_images(found.rows(run.spec.labels))}


def of_epoch(run: Experiment, confusion: Sequence[Sequence[int]]) -> dict[str, bytes]:
    """The confusion matrix of the split that selects, by name."""
    name = f"epoch/{run.protocol.measured}_confusion"
    return {name: pictures.confusion(np.array(confusion), run.spec.labels)}
