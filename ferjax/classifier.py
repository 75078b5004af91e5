"""A trained model that names the expression of faces.

Shapes: N images, h w c the native shape of the training images, K classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from ferjax import experiment
from ferjax.checkpoints import Checkpoints
from ferjax.data import image_files
from ferjax.errors import UserError, nearest
from ferjax.rundir import RunDirectory
from ferjax.step import Weights

CHECKPOINTS = ("best", "last")
# Batches are padded to one of two sizes, so that at most two programs are compiled.
BATCH_SIZES = (1, 64)


class Prediction(NamedTuple):
    """What a classifier says of N faces.

    Attributes:
      probabilities: float32 [N, K]; every row sums to 1.
      names: the K class names, in the order of the columns.
    """

    probabilities: np.ndarray
    names: tuple[str, ...]


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
    config = directory.config()
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


class Classifier:
    """The model of a run, with its labels and its preprocessing.

    Args:
      workdir: the run directory.
      checkpoint: "best" or "last".
    """

    def __init__(self, workdir: str | os.PathLike[str], *, checkpoint: str = "best"):
        self._parts, self._weights, self._meta = restore(workdir, checkpoint)
        if self._parts.model_fields.get("tokens") == "batch":
            raise UserError(
                f"The model of {workdir} was made with tokens=batch: what it says of a face "
                "depends on the other images of its batch, so it cannot predict. Use tokens=space."
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """The K class names, in the order of the probabilities."""
        return self._parts.labels

    @property
    def native_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of the training images, to which every image is brought first."""
        return self._parts.preprocessing.native_shape

    def __call__(
        self,
        images: UInt8[np.ndarray, "..."] | str | os.PathLike[str] | Iterable[Any],
    ) -> Prediction:
        """Classifies faces; each prediction is independent of the other images.

        Args:
          images: one uint8 array [H, W] or [H, W, 1 or 3], or a batch [N, H, W] or [N, H, W, 1 or
            3], where no image is 1 or 3 pixels wide; or a path or
            an iterable of paths of image files; or an iterable of arrays of any sizes. A face
            should fill the image as it does in the training data.

        Raises:
          UserError: no image, a file that is not an image, or an array of another type.
        """
        return self.predict_arrays(self._arrays(images))

    def predict_arrays(self, images: UInt8[np.ndarray, "N h w c"]) -> Prediction:
        """Classifies images that already have the native shape."""
        chunks, start = [], 0
        while start < len(images):
            left = len(images) - start
            size = next((size for size in BATCH_SIZES if size >= left), BATCH_SIZES[-1])
            chunk = images[start : start + size]
            padded = np.zeros((size, *self.native_shape), np.uint8)
            padded[: len(chunk)] = chunk
            scores = np.asarray(self._parts.predict_step(self._weights, padded))
            chunks.append(scores[: len(chunk)])
            start += len(chunk)
        return Prediction(np.concatenate(chunks), self.labels)

    def _arrays(self, images: Any) -> np.ndarray:
        if isinstance(images, str | os.PathLike):
            images = [images]
        if isinstance(images, np.ndarray) and (
            images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (1, 3))
        ):
            images = images[None]
        fitted = [self._one(image) for image in images]
        if not fitted:
            raise UserError("There is no image to classify.")
        return np.stack(fitted)

    def _one(self, image: Any) -> UInt8[np.ndarray, "h w c"]:
        if isinstance(image, str | os.PathLike):
            return image_files.read(image, self.native_shape)
        return image_files.fit_array(np.asarray(image), self.native_shape)
