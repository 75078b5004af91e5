"""Faces in photographs, found and classified, any number of photographs at constant memory.

Shapes: N faces, h w c the native shape of a model, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.data.images import decoding
from ferjax.errors import UserError, one_of
from ferjax.inference import reading
from ferjax.inference.faces import alignment
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.faces.face import Detector, Face
from ferjax.inference.faces.seen import Found, Seen
from ferjax.inference.reading import Photo, Read

MODES = ("auto", "detect", "crop")
# Photographs that are in memory at once, and crops.
PHOTOS, _CROPS = 8, 64
# An image of at most so many times the sides of the training images, or of so many pixels, is the
# crop of a face: what lies around a face in it tells little, and a smaller face shows nothing.
_LIKE_TRAINING, _SMALL = 1.5, 64

NO_FACE = "no face that could be found"
REACHES_OUT = "a face whose crop reaches past the edge, which is repeated there"
SMALL_FACE = "a face whose crop has less than half the side of the training images"


class Model(NamedTuple):
    """What is needed of a classifier.

    Attributes:
      classify: `images uint8 [N, h, w, c] -> probabilities float32 [N, K]`, for any N from 1 on.
      labels: the K class names.
      native_shape: (h, w, c) of the training images.
      framing: where the eyes lie in them; None if it is not known.
    """

    classify: Callable[[np.ndarray], np.ndarray]
    labels: tuple[str, ...]
    native_shape: tuple[int, int, int]
    framing: Framing | None


def batches(
    images: Iterable[Any],
    model: Model,
    *,
    mode: str,
    detector: Callable[[], Detector],
    ahead: int = 2 * PHOTOS,
) -> Iterator[list[Seen]]:
    """Looks at images; files are read ahead by threads while others are computed.

    Args:
      images: paths, uint8 arrays or images of Pillow, asked for as they are needed.
      model: names the expressions.
      mode: "detect" looks for faces in every image; "auto" takes an image of about the size of the
        training images for the crop of one face; "crop" takes all of them for crops.
      detector: makes what finds the faces; called if there is a photograph.
      ahead: how many may be read before they are needed.

    Raises:
      UserError: another mode; or "detect" for a model without a framing.
    """
    one_of("faces", mode, MODES)
    if mode == "detect" and model.framing is None:
        raise UserError(_no_framing("A photograph cannot be cropped"))
    is_photo = {
        "auto": lambda size: not _is_crop(size, model.native_shape),
        "detect": lambda size: True,
        "crop": reading.never,
    }[mode]
    reader = reading.in_order(images, model.native_shape, ahead=ahead, is_photo=is_photo)
    return _in_batches(reader, model, functools.cache(detector))


def _in_batches(
    reader: Iterator[Read], model: Model, detector: Callable[[], Detector]
) -> Iterator[list[Seen]]:
    while batch := _take(reader):
        yield _looked_at(batch, model, detector)


def _take(reader: Iterator[Read]) -> list[Read]:
    """The next images that are looked at together, or all that are left."""
    taken: list[Read] = []
    photos = crops = 0
    for one in reader:
        taken.append(one)
        photos += one.photo is not None
        crops += one.pixels is not None
        # Bad ones take no place in the batch, but they are not kept waiting for ever, either.
        if photos == PHOTOS or photos + crops == _CROPS or len(taken) == 2 * _CROPS:
            break
    return taken


def _looked_at(batch: Sequence[Read], model: Model, detector: Callable[[], Detector]) -> list[Seen]:
    photos = [one.photo for one in batch if one.photo is not None]
    if photos and model.framing is None:
        fix = _no_framing("It is larger than the training images, and cannot be cropped")
        batch = [_refused(one, fix) if one.photo is not None else one for one in batch]
        photos = []
    found = iter(detector()([photo.image for photo in photos]) if photos else ())
    faces = [next(found) if one.photo is not None else [] for one in batch]
    crops: list[np.ndarray] = []
    remarks = [list(one.remarks) for one in batch]
    for one, here, noted in zip(batch, faces, remarks, strict=True):
        if one.photo is None:
            crops += [one.pixels] if one.pixels is not None else []
            continue
        for face in here:
            cut, told = _cut(one.photo, face, model)
            crops.append(cut)
            noted += [each for each in told if each not in noted]
        if not here:
            noted.append(NO_FACE)
    rows = iter(zip(crops, model.classify(np.stack(crops)) if crops else (), strict=True))
    seen = []
    for one, here, noted in zip(batch, faces, remarks, strict=True):
        places: list[Face | None] = []
        if one.photo is not None:
            places += [face.scaled(one.photo.scale) for face in here]
        if one.pixels is not None:
            places = [None]  # a crop
        each = tuple(_found(*next(rows), place, model.labels) for place in places)
        seen.append(Seen(one.name, each, one.problem, tuple(noted), one.photo))
    return seen


def _found(pixels: np.ndarray, row: np.ndarray, place: Face | None, labels: Sequence[str]) -> Found:
    return Found(labels[int(row.argmax())], row, pixels, place)


def _cut(photo: Photo, face: Face, model: Model) -> tuple[np.ndarray, list[str]]:
    """What the model sees of a face, and remarks on it."""
    assert model.framing is not None
    cut = alignment.crop(photo.image, face, model.framing, model.native_shape[:2])
    told = [REACHES_OUT] if cut.reaches_out else []
    if cut.scale * photo.scale < 0.5:
        told.append(SMALL_FACE)
    return decoding.fitted(cut.image, model.native_shape), told


def _is_crop(size: tuple[int, int], native_shape: tuple[int, int, int]) -> bool:
    width, height = native_shape[1], native_shape[0]
    limit = max(_SMALL, _LIKE_TRAINING * width), max(_SMALL, _LIKE_TRAINING * height)
    return size[0] <= limit[0] and size[1] <= limit[1]


def _refused(one: Read, why: str) -> Read:
    return Read(one.name, None, f"{one.name}: {why}", ())


def _no_framing(what: str) -> str:
    return (
        f"{what}: the model does not say where the eyes lie in its training images, as it was made "
        "by an earlier version of ferjax or shows few faces. If the images are crops of faces, say "
        "--faces=crop; else pack a run of it by python -m ferjax.models.pack, which measures it."
    )
