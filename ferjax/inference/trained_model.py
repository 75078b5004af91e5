"""A trained model from a run directory: its weights and their description."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from ferjax import local_files, refusals
from ferjax.distributed import forks, sharding
from ferjax.errors import UserError, one_of
from ferjax.filesystem import Place
from ferjax.inference import agreement
from ferjax.inference.classifier import Classifier
from ferjax.inference.model_spec import ModelSpec
from ferjax.inference.prediction import prediction
from ferjax.models import functional
from ferjax.models.functional import Weights
from ferjax.workdir.directory import RunDirectory

CHECKPOINTS = ("best", "last")


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """Weights that evaluation and prediction use, with their description.

    Attributes:
      spec: the description of the model.
      graphdef: structure of the model.
      weights: the weights, whole on every device of the mesh.
      mesh: the devices.
      step: updates made.
      where: the run directory.
    """

    spec: ModelSpec
    graphdef: nnx.GraphDef
    weights: Weights
    mesh: Mesh
    step: int
    where: Place

    @classmethod
    def load(
        cls,
        workdir: str | os.PathLike[str],
        checkpoint: str = "best",
        *,
        config: ConfigDict | None,
        mesh: Mesh | None = None,
    ) -> TrainedModel:
        """Reads the weights of a run's checkpoint, and writes nothing.

        Args:
          workdir: the run directory; only the files of the checkpoint are needed.
          checkpoint: "best" or "last".
          config: of its config.json, complete; None where there is none.
          mesh: the devices; by default all that are present.

        Raises:
          UserError: the folder is no run, has no such checkpoint, or one that is damaged or of
            another run than the config or the result.json beside it; or see `forks.check`.
        """
        from ferjax.workdir import checkpoint_files  # with Orbax, which a packed model needs not

        forks.check()
        one_of("checkpoint", checkpoint, CHECKPOINTS)
        directory = RunDirectory(workdir)
        try:
            local_files.check_utf8(directory.path)
        except OSError as error:
            problem = refusals.problem(error)
            raise UserError(
                f"{directory.path} cannot be read ({problem}); rename the folder."
            ) from None
        mesh = sharding.make_mesh() if mesh is None else mesh
        folder = checkpoint_files.folder(directory.path, checkpoint)
        newest = checkpoint_files.steps(folder)[:1]
        try:
            return cls._read(directory, checkpoint, config, mesh)
        except UserError:
            if checkpoint_files.steps(folder)[:1] == newest:
                raise
        # A run that goes on has replaced the checkpoint while it was read.
        return cls._read(directory, checkpoint, config, mesh)

    @classmethod
    def _read(
        cls, directory: RunDirectory, checkpoint: str, config: ConfigDict | None, mesh: Mesh
    ) -> TrainedModel:
        from ferjax.workdir import checkpoint_files

        where = directory.path
        stored = checkpoint_files.newest(where, checkpoint)
        if stored is None:
            raise _no_checkpoint(directory, checkpoint)
        step = stored.about.step
        spec = ModelSpec.from_json(stored.about.spec, where)
        agreement.check(
            where,
            config=config,
            result=directory.result(),
            spec=spec,
            best_step=step if checkpoint == "best" else None,
        )
        graphdef, like = spec.checked_abstract(mesh, where)
        return cls(spec, graphdef, stored.weights(like), mesh, step, where)

    def classifier(self) -> Classifier:
        """The classifier of face images; see `ferjax.load`.

        Raises:
          UserError: the model's prediction depends on the other images of its batch.
        """
        if self.spec.depends_on_batch:
            raise UserError(
                f"The model of {self.where} was made with tokens=batch: what it says of a face "
                "depends on the other images of its batch, so it cannot predict. Use tokens=space."
            )
        return Classifier(
            _OfThisProcess(self._program, self.where),
            labels=self.spec.labels,
            native_shape=self.spec.native_shape,
            framing=self.spec.framing,
            trained_on=self.spec.dataset,
        )

    def _program(self) -> Callable[[np.ndarray], Any]:
        """`images uint8 [N, h, w, c] -> probabilities float32 [N, K]`."""
        graphdef, weights = functional.fold(self.graphdef, self.weights)
        program = prediction(graphdef, preprocessing=self.spec.preprocessing)
        return functools.partial(program, weights)


class _OfThisProcess:
    """A prediction that is not pickled: its program and arrays are of this process's devices.

    Args:
      make: makes the prediction; called at its first use.
      where: the run directory that it is of.
    """

    def __init__(self, make: Callable[[], Callable[[np.ndarray], Any]], where: Place):
        self._make = make
        self._where = where
        self._lock = threading.Lock()

    def __call__(self, images: np.ndarray) -> Any:
        with self._lock:
            predict = self._predict
        return predict(images)

    @functools.cached_property
    def _predict(self) -> Callable[[np.ndarray], Any]:
        return self._make()

    def __deepcopy__(self, memo: object) -> _OfThisProcess:
        return self  # nothing in it ever changes

    def __reduce__(self) -> NoReturn:
        raise UserError(
            "A classifier cannot be sent to another process or stored by pickle. Load it where it "
            f"is used, by ferjax.load({str(self._where)!r}), once in each process."
        )


def _no_checkpoint(directory: RunDirectory, kind: str) -> UserError:
    from ferjax.workdir import checkpoint_files

    directory.config_fields()  # says so if this is no run directory
    if directory.result() is not None:
        return UserError(
            f"{directory.path} is a finished run whose {kind!r} checkpoint is missing. Restore "
            f"{checkpoint_files.folder(directory.path, kind)} from a copy, or train again in an "
            "empty workdir."
        )
    return UserError(
        f"{directory.path} has no {kind!r} checkpoint yet: the run was stopped before its first "
        "epoch ended. Run it again to resume it."
    )
