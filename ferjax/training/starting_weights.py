"""Weights that a run can start from: from a finished run, or from a file."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from ferjax import filesystem
from ferjax.config import stored
from ferjax.data.pipeline.preprocess import Preprocessing
from ferjax.errors import UserError
from ferjax.inference import lineage
from ferjax.inference.lineage import TrainedOn
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional, weights
from ferjax.workdir.directory import RunDirectory


class RunFacts(NamedTuple):
    """What is known of a finished run's weights.

    Attributes:
      labels: the class names behind the classifier.
      preprocessing: the steps from pixels to the model's input in that run.
      protocol: "honest" or "optimistic".
      data: the data set that trained the run, then the data sets of the runs it started from.
    """

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    protocol: str
    data: tuple[TrainedOn, ...]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the data set that trained it."""
        return self.data[0].fingerprint


class StartingWeights(NamedTuple):
    """Weights to start from.

    Attributes:
      title: what and where they are.
      arrays: under torchvision's names, in ferjax's layout.
      run: the facts of their run; None for a file.
      identity: what distinguishes these weights from others, as JSON.
    """

    title: str
    arrays: dict[str, np.ndarray]
    run: RunFacts | None
    identity: dict[str, Any]


def read(path: str) -> StartingWeights:
    """Weights of a finished run (its best epoch) or of a file (see `models.weight_files`).

    Raises:
      UserError: no such weights, or a run that is not finished, whose best epoch may still change.
    """
    place = filesystem.of(path)
    if not filesystem.is_folder(place):
        with filesystem.here(place) as found:
            arrays = weights.from_torch(weights.read(found))
            with open(found, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        identity = {"weights": path, "sha256": digest}
        return StartingWeights(f"The weights in {path}", arrays, None, identity)
    directory = RunDirectory(path)
    result = directory.result()
    if result is None:
        directory.config_fields()  # says so if this is no run
        raise UserError(
            f"The run in {path} is not finished, and its best epoch may still change; run it to "
            "its end first."
        )
    trained = TrainedModel.load(path, config=stored.of_run_or_none(directory))
    spec = trained.spec
    identity = {
        "weights": path,
        "dataset": result["dataset"],
        "fingerprint": spec.fingerprint,
        "options": result["options"],
        "protocol": result["protocol"],
        "seed": result["seed"],
        "epoch": result["selection"]["epoch"],
        "departures": result.get("departures", []),
        "started_from": result.get("started_from", []),
    }
    facts = RunFacts(
        spec.labels,
        spec.preprocessing,
        result["protocol"],
        tuple(lineage.trained_on(identity)),
    )
    model = functional.merge_model(trained.graphdef, trained.weights)
    return StartingWeights(f"The weights of {path}", weights.named(model), facts, identity)
