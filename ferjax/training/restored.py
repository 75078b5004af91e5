"""A run with the weights of one of its checkpoints: to predict, to evaluate, to start from.

The parts are those of the training, which is why this lies here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ferjax.config import fields
from ferjax.errors import UserError, nearest
from ferjax.evaluation.cross_dataset import ScoredModel
from ferjax.inference.classifier import Classifier
from ferjax.models.functional import Weights
from ferjax.training import experiment
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory

CHECKPOINTS = ("best", "last")


def restore(
    workdir: str | os.PathLike[str], checkpoint: str = "best"
) -> tuple[experiment.Experiment, Weights, dict[str, Any]]:
    """The parts, the evaluated weights and the meta object of a run's checkpoint.

    Raises:
      UserError: the folder is no run, has no such checkpoint, or none that can be read.
    """
    if checkpoint not in CHECKPOINTS:
        raise UserError(
            f"There is no checkpoint {checkpoint!r}; expected one of {', '.join(CHECKPOINTS)}."
            + nearest(checkpoint, CHECKPOINTS)
        )
    directory = RunDirectory(workdir)
    config = fields.completed(directory.config())
    checkpoints = Checkpoints(directory.path)
    try:
        meta = checkpoints.meta(checkpoint)
        if meta is None:
            raise UserError(
                f"{directory.path} has no {checkpoint!r} checkpoint yet: the run was stopped "
                "before its first epoch ended. Run it again to resume it."
            )
        parts = experiment.build(config, meta=meta)
        restored = checkpoints.restore(checkpoint, parts.abstract_state())
        assert restored is not None, "a checkpoint with a meta object exists"
        state, meta = restored
        return parts, state.evaluated, meta
    finally:
        checkpoints.close()


def classifier(workdir: str | os.PathLike[str], checkpoint: str = "best") -> Classifier:
    """The classifier of a run; see `ferjax.load`.

    Raises:
      UserError: as `restore`, or a model whose prediction depends on the other images of its batch.
    """
    parts, weights, _ = restore(workdir, checkpoint)
    if parts.model_fields.get("tokens") == "batch":
        raise UserError(
            f"The model of {workdir} was made with tokens=batch: what it says of a face "
            "depends on the other images of its batch, so it cannot predict. Use tokens=space."
        )
    return Classifier(
        functools.partial(parts.predict_step, weights),
        labels=parts.labels,
        native_shape=parts.preprocessing.native_shape,
    )


def scored_model(
    parts: experiment.Experiment,
    weights: Weights,
    views: Sequence[str],
    started_from: Sequence[Mapping[str, Any]] = (),
) -> ScoredModel:
    """The model as `cross_dataset.score` takes it; `started_from` as in the run's result.json."""
    return ScoredModel(
        count=functools.partial(parts.eval_step(tuple(views)), weights, None),
        views=tuple(views),
        native_shape=parts.preprocessing.native_shape,
        dataset=parts.config.dataset.name,
        fingerprint=parts.fingerprint,
        seen=parts.seen_pixels,
        started_from=started_from,
        mesh=parts.mesh,
        batch_size=parts.config.evaluation.batch_size,
        num_threads=parts.config.dataset.num_threads,
    )
