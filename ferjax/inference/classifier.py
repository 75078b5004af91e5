"""A trained model that names the expression of faces.

Shapes: N images, h w c the native shape of the training images, K classes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.images import decoding, files, unused
from ferjax.distributed import forks
from ferjax.errors import UserError

# Batches are padded to one of two sizes, so that at most two programs are compiled.
BATCH_SIZES = (1, 64)


class Prediction(NamedTuple):
    """The prediction for N faces.

    Attributes:
      probabilities: float32 [N, K]; every row sums to 1.
      names: the K class names, in the order of the columns.
    """

    probabilities: np.ndarray
    names: tuple[str, ...]


class Classifier:
    """A trained model, with its labels and the shape of its images; `ferjax.load` makes one.

    Args:
      predict: `images uint8 [N, h, w, c] -> probabilities float32 [N, K]`, for N in `BATCH_SIZES`.
      labels: the K class names, in the order of the probabilities.
      native_shape: (h, w, c) of the training images, to which every image is brought first.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], Any],
        *,
        labels: tuple[str, ...],
        native_shape: tuple[int, int, int],
    ):
        self._predict = predict
        self.labels = labels
        self.native_shape = native_shape

    def __call__(
        self,
        images: UInt8[np.ndarray, "..."] | str | os.PathLike[str] | Image.Image | Iterable[Any],
    ) -> Prediction:
        """Classifies faces; each prediction is independent of the other images.

        Args:
          images: one uint8 array [H, W] or [H, W, 1 or 3], or a batch [N, H, W] or [N, H, W, 1 or
            3], where no image is 1 or 3 pixels wide; or a path or an iterable of paths of image
            files; or an iterable of arrays of any sizes; or images of Pillow. A face should fill
            the image as it does in the training data. A warning tells of files with several frames
            or with transparency.

        Raises:
          UserError: no image, a file that is not an image, an array of another type, or
            probabilities that are not finite.
        """
        fitted, names = self._arrays(images)
        return self._predicted(fitted, names)

    @property
    def classes_(self) -> np.ndarray:
        """The K class names, in the order of the columns of `predict_proba`."""
        return np.array(self.labels)

    def predict_proba(self, images: Any) -> np.ndarray:
        """Probabilities, float32 [N, K], of what `__call__` takes."""
        return self(images).probabilities

    def predict(self, images: Any) -> np.ndarray:
        """The most probable class name of each image, str [N], of what `__call__` takes."""
        return self.classes_[np.argmax(self.predict_proba(images), axis=1)]

    def predict_arrays(self, images: UInt8[np.ndarray, "N h w c"]) -> Prediction:
        """Classifies images that already have the native shape; raises as `__call__` does."""
        good = isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 4
        if not good or images.shape[1:] != self.native_shape or not len(images):
            found = f"{type(images).__name__} {getattr(images, 'dtype', '')} "
            raise UserError(
                f"The images are {found}of shape {np.shape(images)}; expected uint8 of shape "
                f"[N, {', '.join(map(str, self.native_shape))}] with N at least 1."
            )
        return self._predicted(images, [f"image {number}" for number in range(len(images))])

    def _predicted(self, images: np.ndarray, names: Sequence[str]) -> Prediction:
        forks.check()
        chunks, start = [], 0
        while start < len(images):
            left = len(images) - start
            size = next((size for size in BATCH_SIZES if size >= left), BATCH_SIZES[-1])
            chunk = images[start : start + size]
            padded = np.zeros((size, *self.native_shape), np.uint8)
            padded[: len(chunk)] = chunk
            scores = np.asarray(self._predict(padded))
            wrong = np.flatnonzero(~np.isfinite(scores[: len(chunk)]).all(axis=1))
            if len(wrong):
                raise UserError(
                    f"The probabilities of {names[start + wrong[0]]} are not finite: the weights "
                    "or the preprocessing of the model are damaged. Restore the run's folder from "
                    "a copy, or train again in an empty workdir."
                )
            chunks.append(scores[: len(chunk)])
            start += len(chunk)
        return Prediction(np.concatenate(chunks), self.labels)

    def _arrays(self, images: Any) -> tuple[np.ndarray, list[str]]:
        """The images in the native shape, and what each is called in a message."""
        if isinstance(images, str | os.PathLike | Image.Image):
            images = [images]
        elif hasattr(images, "__array__"):  # of NumPy, JAX or another library
            images = np.asarray(images)
            odd = images.ndim == 3 and images.shape[-1] in (2, 4)
            if odd and images.shape[1:] != self.native_shape[:2]:
                raise UserError(
                    f"The images have the shape {images.shape}: leave out the transparency of one "
                    "image, or give a batch of grey images as [N, H, W, 1]."
                )
            if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (1, 3)):
                images = images[None]
        no_images = (
            isinstance(images, bytes | bytearray | memoryview)
            or not isinstance(images, Iterable)
            or (isinstance(images, np.ndarray) and images.ndim == 0)
        )
        if no_images:
            raise UserError(
                f"The images are {type(images).__name__}; expected paths, uint8 arrays, or an "
                "iterable of them."
            )
        fitted, names = [], []
        with unused.collected() as found:
            for number, image in enumerate(images):
                fitted.append(self._one(image))
                is_path = isinstance(image, str | os.PathLike)
                names.append(os.fspath(image) if is_path else f"image {number}")
        for sentence in found.sentences():
            warnings.warn(sentence, stacklevel=3)
        if not fitted:
            raise UserError("There is no image to classify.")
        return np.stack(fitted), names

    def _one(self, image: Any) -> UInt8[np.ndarray, "h w c"]:
        if isinstance(image, str | os.PathLike):
            return files.read(image, self.native_shape)
        if isinstance(image, Image.Image):
            return decoding.from_pillow(image, self.native_shape)
        return files.fit_array(np.asarray(image), self.native_shape)
