"""A trained model that names the expression of faces.

Shapes: N images, h w c the native shape of the training images, K classes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.data.images import remarks
from ferjax.distributed import forks
from ferjax.errors import UserError, one_line
from ferjax.inference import reading, results
from ferjax.inference.faces import detectors, in_photos
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.faces.seen import Seen
from ferjax.inference.reading import Read
from ferjax.inference.results import Faces, Prediction

# Batches are padded to one of two sizes, so that at most two programs are compiled.
BATCH_SIZES = (1, 64)


class Classified(NamedTuple):
    """The prediction for one image of many, or why there is none.

    Attributes:
      name: the path of a file, else "image 3" by its position.
      label: the most probable class; "" if the image could not be read.
      probabilities: float32 [K]; None if the image could not be read.
      problem: the sentence about an image that could not be read; else "".
      remarks: what is worth saying about it, such as "transparent pixels, ..."; see
        `ferjax.data.images.remarks`.
      pixels: what the model sees, uint8 [h, w, c]; None if the image could not be read.
    """

    name: str
    label: str
    probabilities: np.ndarray | None
    problem: str
    remarks: tuple[str, ...]
    pixels: np.ndarray | None = None


class Classifier:
    """A trained model, with its labels and the shape of its images; `ferjax.load` makes one.

    Args:
      predict: `images uint8 [N, h, w, c] -> probabilities float32 [N, K]`, for N in `BATCH_SIZES`.
      labels: the K class names, in the order of the probabilities.
      native_shape: (h, w, c) of the training images, to which every image is brought first.
      framing: where the eyes lie in the training images; None if it is not known, and then faces
        of photographs cannot be classified.
      trained_on: name of the data set that trained it; "" if it is not known.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray], Any],
        *,
        labels: tuple[str, ...],
        native_shape: tuple[int, int, int],
        framing: Framing | None = None,
        trained_on: str = "",
    ):
        self._predict = predict
        self.labels = labels
        self.native_shape = native_shape
        self.framing = framing
        self.trained_on = trained_on

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.native_shape))
        data = f", trained on {self.trained_on}" if self.trained_on else ""
        return f"<Classifier of crops of {shape}{data}: {', '.join(map(one_line, self.labels))}>"

    def __call__(
        self,
        images: UInt8[np.ndarray, "..."] | str | os.PathLike[str] | Image.Image | Iterable[Any],
    ) -> Prediction:
        """Classifies faces; each prediction is independent of the other images.

        Args:
          images: one uint8 array [H, W] or [H, W, 1 or 3], or a batch [N, H, W] or [N, H, W, 1 or
            3], where no image is 1 or 3 pixels wide; or a path or an iterable of paths of image
            files; or an iterable of arrays of any sizes; or images of Pillow. Colours are in the
            order red, green, blue. A face should fill the image as it does in the training data. A
            warning tells of images that do not look like that, and of what is not used of a file.

        Raises:
          UserError: no image, a file that is not an image, an array of another type, or
            probabilities that are not finite.
        """
        found, rows = remarks.Tally(), []
        pictures: list[np.ndarray] = []
        for one in self.stream(images):
            if one.probabilities is None:
                raise UserError(one.problem)
            found.add(one.remarks, one.name)
            rows.append(one.probabilities)
            if one.pixels is not None and len(pictures) < results.SHOWN:
                pictures.append(one.pixels)
        for sentence in found.sentences():
            warnings.warn(sentence, stacklevel=2)
        if not rows:
            raise UserError("There is no image to classify.")
        return Prediction.of(np.stack(rows), self.labels, pictures)

    def stream(self, images: Any) -> Iterator[Classified]:
        """Classifies any number of images at constant memory, and goes on over bad ones.

        Files are read ahead by threads while the model computes; results come in the order of the
        images, a batch at a time.

        Args:
          images: as `__call__` takes them; an iterable is asked for images as they are needed.

        Raises:
          UserError: no images at all, or probabilities that are not finite.
        """
        for batch in self.batches(images):
            yield from batch

    def batches(self, images: Any) -> Iterator[list[Classified]]:
        """As `stream`, with what comes at once in a list."""
        images = reading.each(images, self.native_shape)
        # With one image there is nothing to read ahead of.
        single = isinstance(images, Sequence | np.ndarray) and len(images) < 2
        ahead = 0 if single else 2 * BATCH_SIZES[-1]
        reader = reading.in_order(images, self.native_shape, ahead=ahead)
        return self._in_batches(reader)

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
        reader = (Read(f"image {number}", one, "", ()) for number, one in enumerate(images))
        rows = [one.probabilities for batch in self._in_batches(reader) for one in batch]
        made = np.stack([row for row in rows if row is not None])
        return Prediction.of(made, self.labels, images[: results.SHOWN])

    def faces(self, photo: Any, *, detector: str | os.PathLike[str] = detectors.DEFAULT) -> Faces:
        """Finds the faces of a photograph, and names their expressions.

        Args:
          photo: the path of an image file, an image of Pillow, or a uint8 array [H, W] or [H, W, 1
            or 3].
          detector: "mtcnn", "yunet" or the path of a file of YuNet; see `faces.detectors.create`.

        Returns:
          The faces, those of a high score first; none where none is found. It has a table as its
          text, and a picture in a notebook.

        Raises:
          UserError: what is given is no one image, or cannot be read; or the model does not know
            how to crop a photograph.
        """
        images = reading.each(photo, self.native_shape)
        if not isinstance(images, Sequence | np.ndarray) or len(images) != 1:
            raise UserError(
                "faces takes one photograph; for many, call it for each, or use "
                "Classifier.photographs."
            )
        ((seen,),) = self.photographs(images, mode="detect", detector=detector)
        if seen.photo is None:
            raise UserError(seen.problem)
        return Faces(seen, self.labels)

    def photographs(
        self,
        images: Any,
        *,
        mode: str = "auto",
        detector: str | os.PathLike[str] = detectors.DEFAULT,
    ) -> Iterator[list[Seen]]:
        """Finds and classifies the faces of any number of images, and goes on over bad ones.

        Args:
          images: as `__call__` takes them; an iterable is asked for images as they are needed.
          mode: "auto", "detect" or "crop"; see `faces.in_photos.batches`.
          detector: as `faces` takes it.

        Raises:
          UserError: as `faces`, or of what are no images.
        """
        forks.check()
        images = reading.each(images, self.native_shape)
        single = isinstance(images, Sequence | np.ndarray) and len(images) < 2
        most = BATCH_SIZES[-1] if mode == "crop" else 2 * in_photos.PHOTOS  # photographs are large
        return in_photos.batches(
            images,
            in_photos.Model(self._classify, self.labels, self.native_shape, self.framing),
            mode=mode,
            detector=lambda: detectors.create(detector),
            ahead=0 if single else 2 * most,
        )

    def _classify(self, pixels: np.ndarray) -> np.ndarray:
        return self.predict_arrays(pixels).probabilities

    def _in_batches(self, reader: Iterator[Read]) -> Iterator[list[Classified]]:
        """Predicts a batch while the next one is read; raises as `forks.check` does."""
        forks.check()
        batch = _take(reader, BATCH_SIZES[-1])
        while batch:
            computed = self._start(batch)
            following = _take(reader, BATCH_SIZES[-1])
            yield self._ended(batch, computed)
            batch = following

    def _start(self, batch: Sequence[Read]) -> Any:
        """The probabilities of the images that could be read, which may still be computed."""
        pixels = [one.pixels for one in batch if one.pixels is not None]
        if not pixels:
            return np.zeros((0, len(self.labels)), np.float32)
        size = next(size for size in BATCH_SIZES if size >= len(pixels))
        padded = np.zeros((size, *self.native_shape), np.uint8)
        for row, one in zip(padded, pixels, strict=False):
            row[...] = one
        return self._predict(padded)

    def _ended(self, batch: Sequence[Read], computed: Any) -> list[Classified]:
        """The images of a batch with their probabilities, once they are computed."""
        scores = iter(np.asarray(computed))
        done = []
        for name, pixels, problem, noted, _ in batch:
            row = None if pixels is None else next(scores)
            if row is not None and not np.isfinite(row).all():
                raise UserError(
                    f"The probabilities of {name} are not finite: the weights or the preprocessing "
                    "of the model are damaged. Restore the run's folder from a copy, or train "
                    "again in an empty workdir."
                )
            label = "" if row is None else self.labels[int(row.argmax())]
            done.append(Classified(name, label, row, problem, noted, pixels))
        return done


def _take(reader: Iterator[Read], most: int) -> list[Read]:
    """The next images, of which `most` could be read, or all that are left."""
    taken: list[Read] = []
    good = 0
    for one in reader:
        taken.append(one)
        good += one.pixels is not None
        # Bad ones take no place in the batch, but they are not kept waiting for ever, either.
        if good == most or len(taken) == 2 * most:
            break
    return taken
