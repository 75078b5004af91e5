"""The official release of CK+: sequences of frames, with one emotion each and 68 landmarks a frame.

    cohn-kanade-images/S005/001/S005_001_00000011.png
    Emotion/S005/001/S005_001_00000011_emotion.txt
    Landmarks/S005/001/S005_001_00000011_landmarks.txt

A sequence goes from a neutral face to the peak of an expression, and its emotion file, if it has
one, belongs to its last frame. The last three frames of each labelled sequence are its examples.
The files are found by their names, because copies call the folders Emotion, Emotion_labels or else.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ferjax.data.images import decoding
from ferjax.data.labels import CK_PLUS
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import image_files, numbers, text_files
from ferjax.data.prepare.readers.ck_plus import faces
from ferjax.data.prepare.readers.ck_plus.names import Frame, by_frame, frame_of
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

FRAMES = 3

_EMOTION, _LANDMARKS, _IMAGE = "_emotion.txt", "_landmarks.txt", ".png"
# Such as cohn-kanade-images/S005/001/: distinguishes a release without labels from a CK+48 folder.
_SEQUENCE_FOLDER = re.compile(r"(?:.*/)?S\d+/\d+/[^/]+", re.IGNORECASE | re.ASCII)
_FRAMES_ARE_MISSING = "Frames are missing: unpack the images of CK+ again."
_PARTS = re.compile(r".*(emotion|landmarks|images)[^/]*\.zip", re.IGNORECASE | re.ASCII)


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are the official release, be it with parts missing or still packed."""
    return any(
        name.lower().endswith((_EMOTION, _LANDMARKS))
        or _PARTS.fullmatch(name)
        or _SEQUENCE_FOLDER.fullmatch(name)
        for name in names
    )


def frames(names: Sequence[str]) -> list[str]:
    """The files that have the name of a frame."""
    return [name for name in names if frame_of(name, _IMAGE)]


def read(
    tree: Tree, names: Sequence[str], size: int, on_item: Callable[[], None]
) -> tuple[list[Item], tuple[str, ...]]:
    """The examples, sorted by name, and notes about what is left out.

    Args:
      tree: the release.
      names: the names of its files.
      size: height and width of a cropped face.
      on_item: called after each example.

    Raises:
      UserError: see `ck_plus.read.read`.
    """
    files = {ending: by_frame(tree, names, ending) for ending in (_IMAGE, _EMOTION, _LANDMARKS)}
    for ending, what in (
        (_IMAGE, "frame (S005_001_00000011.png)"),
        (_EMOTION, "emotion file (S005_001_00000011_emotion.txt)"),
        (_LANDMARKS, "landmark file (S005_001_00000011_landmarks.txt)"),
    ):
        if not files[ending]:
            packed = [name for name in names if _PARTS.fullmatch(name)]
            found = f", and {', '.join(packed)} still packed" if packed else ""
            raise UserError(
                f"{tree.path} holds no {what}{found}. ferjax needs the frames, the emotions and "
                "the landmarks of CK+: unpack the archives of all three into one folder, and pass "
                "that."
            )
    frames_of: dict[tuple[str, str], list[Frame]] = {}
    for frame in sorted(files[_IMAGE]):
        frames_of.setdefault(frame[:2], []).append(frame)
    faults = Faults()
    emotions = _emotions(tree, files[_EMOTION], faults)
    items = []
    neutral = 0
    for sequence, (frame, emotion) in sorted(emotions.items()):
        if emotion == 0:
            neutral += 1
            continue
        last: Sequence[Frame] = ()
        with faults.caught(files[_EMOTION][frame]):
            last = _last(tree, frames_of.get(sequence, []), frame, files[_EMOTION][frame])
        for one in last:
            image = files[_IMAGE][one]
            with faults.caught(image):
                landmarks = _landmarks_of(tree, files[_LANDMARKS], one, image)
                items.append(_item(tree, image, landmarks, one.subject, emotion - 1, size))
            on_item()
    faults.check(f"{sum(map(len, files.values())):,} files of {tree.path}")
    unlabelled = len(set(frames_of) - set(emotions))
    notes = []
    if unlabelled:
        notes.append(
            f"{unlabelled:,} of {len(frames_of):,} sequences have no emotion file and are left out."
        )
    if neutral:
        notes.append(f"{neutral:,} sequences have the emotion 0, neutral, and are left out.")
    return items, tuple(notes)


def _emotions(
    tree: Tree, files: Mapping[Frame, str], faults: Faults
) -> dict[tuple[str, str], tuple[Frame, int]]:
    """For each labelled sequence, the frame that its emotion file names, and the emotion."""
    found: dict[tuple[str, str], tuple[Frame, int]] = {}
    for frame, name in files.items():
        if frame[:2] in found:
            other = files[found[frame[:2]][0]]
            raise UserError(
                f"{tree.where(name)} and {tree.where(other)} both label sequence "
                f"{frame.subject}/{frame.sequence}; a sequence has one emotion. Take them from "
                "your copy again."
            )
        with faults.caught(name):
            found[frame[:2]] = frame, _emotion(tree, name)
    return found


def _emotion(tree: Tree, name: str) -> int:
    text = " ".join(line.strip() for _, line in text_files.lines(tree, name))
    value = numbers.real(text)
    if value is None or value not in range(CK_PLUS.num_classes + 1):
        meanings = ", ".join(f"{index} {one}" for index, one in enumerate(CK_PLUS.names, 1))
        raise UserError(
            f"{tree.where(name)}: expected one whole number from 0 to {CK_PLUS.num_classes} "
            f"(0 neutral, {meanings}), found {text[:60]!r}."
        )
    return int(value)


def _last(tree: Tree, frames: Sequence[Frame], labelled: Frame, emotion_name: str) -> list[Frame]:
    """The last frames of a labelled sequence, the one that its emotion file names among them."""
    sequence = f"{labelled.subject}/{labelled.sequence}"
    if len(frames) < FRAMES:
        raise Fault(
            f"{tree.path}: sequence {sequence} has {len(frames)} frames, and the last {FRAMES} of "
            f"each sequence with an emotion file ({emotion_name}) are needed.",
            _FRAMES_ARE_MISSING,
        )
    if labelled not in frames:
        raise Fault(
            f"{tree.where(emotion_name)} is the emotion of frame {labelled.number} of sequence "
            f"{sequence}, which is not there; its last frame is {frames[-1].number}.",
            _FRAMES_ARE_MISSING,
        )
    return list(frames[-FRAMES:])


def _landmarks_of(tree: Tree, files: Mapping[Frame, str], frame: Frame, image: str) -> str:
    if frame not in files:
        expected = image.split("/")[-1].removesuffix(_IMAGE) + _LANDMARKS
        raise Fault(
            f"{tree.where(image)} has no landmarks, by which its face is cropped: expected a file "
            f"{expected}.",
            "Unpack the landmarks of CK+ again.",
        )
    return files[frame]


def _item(tree: Tree, image: str, landmarks: str, subject: str, label: int, size: int) -> Item:
    points = faces.points(tree, landmarks)
    face = functools.partial(_face, tree, image, landmarks, points, size)
    return Item(image, label, face, subject=subject, where=tree.where(image))


def _face(tree: Tree, image: str, landmarks: str, points: np.ndarray, size: int) -> np.ndarray:
    frame = decoding.decode(image_files.read(tree, image), tree.where(image), channels=1)
    faces.check_inside(points, frame, tree.where(landmarks))
    return faces.crop(frame, points, size)
