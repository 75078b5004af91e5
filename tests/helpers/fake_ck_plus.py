"""CK+ as tests write it: the names of the release and of CK+48, grey levels that tell the class."""

import dataclasses
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from ferjax.data import catalog

SIZE = (64, 49)  # of a frame
BOX = (24, 18, 40, 38)  # of the landmarks in it: left, top, right, bottom
FOLDERS = {"images": "cohn-kanade-images", "emotion": "Emotion", "landmarks": "Landmarks"}


class Sequence(NamedTuple):
    """One sequence: who, which, its label from 0 (-1 neutral, None without one), its frames."""

    subject: str
    number: str
    label: int | None
    frames: int = 5

    def stem(self, frame):
        return f"{self.subject}_{self.number}_{frame:08}"

    @property
    def path(self):
        return f"{self.subject}/{self.number}"


def spec(sequences):
    """The counts of these sequences."""
    labels = [one.label for one in sequences if one.label not in (None, -1)]
    counts = tuple(3 * count for count in np.bincount(labels, minlength=7).tolist())
    return dataclasses.replace(catalog.CK_PLUS, expected_counts={"whole": counts})


def some():
    """Twelve persons with two or three labelled sequences each, and some that have no label."""
    result = []
    for person in range(12):
        subject = f"S{5 + 3 * person:03}"
        result += [
            Sequence(subject, "001", person % 7),
            Sequence(subject, "002", (person + 3) % 7, frames=4 + person % 3),
            Sequence(subject, "003", None),
        ]
    return [*result, Sequence("S005", "004", 6, frames=3)]


def whole():
    """593 sequences of 123 persons, 327 of them with the labels of the release, of 118 persons."""
    labels = np.repeat(np.arange(7), (45, 18, 59, 25, 69, 28, 83)).tolist()
    np.random.default_rng(0).shuffle(labels)
    result = [
        Sequence(f"S{5 + number % 118:03}", f"{1 + number // 118:03}", label)
        for number, label in enumerate(labels)
    ]
    rest = range(593 - len(labels))
    return result + [
        Sequence(f"S{5 + number % 123:03}", f"{5 + number // 123:03}", None) for number in rest
    ]


def level(label):
    """The grey level of a class."""
    return 30 + 30 * label


def png(pixels):
    """The bytes of a PNG of uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def frame(sequence, number):
    """A frame, grey but for three pixels in the corner of the face, which tell it apart."""
    pixels = np.full(SIZE[::-1], level(sequence.label or 0), np.uint8)
    pixels[13, 19:22] = number, int(sequence.subject[1:]) % 256, int(sequence.number)
    return png(pixels)


def landmarks(box=BOX):
    """68 points whose bounding box is `box`: x and y of each, [68, 2]."""
    left, top, right, bottom = box
    points = np.random.default_rng(0).uniform((left, top), (right, bottom), (68, 2))
    points[:2] = (left, top), (right, bottom)
    return points


def landmark_file(points):
    """The text of a landmark file."""
    return "".join(f"   {x:.7e}   {y:.7e}\n" for x, y in points).encode()


def official(sequences, folders=FOLDERS):
    """Name -> content of the release: images, emotions, landmarks."""
    content = {}
    points = landmark_file(landmarks())
    for one in sequences:
        for number in range(1, one.frames + 1):
            stem = one.stem(number)
            content[f"{folders['images']}/{one.path}/{stem}.png"] = frame(one, number)
            content[f"{folders['landmarks']}/{one.path}/{stem}_landmarks.txt"] = points
        if one.label is not None:
            name = f"{folders['emotion']}/{one.path}/{one.stem(one.frames)}_emotion.txt"
            content[name] = f"   {float(one.label + 1):.7e}\n".encode()
    return content


def ck_48(sequences):
    """Name -> content of the folder CK+48, with the last three frames of each labelled sequence."""
    content = {}
    for one in sequences:
        if one.label not in (None, -1):
            for number in range(one.frames - 2, one.frames + 1):
                pixels = np.full((48, 48), level(one.label), np.uint8)
                pixels[0, :3] = number, int(one.subject[1:]) % 256, int(one.number)
                folder = catalog.CK_PLUS.labels.names[one.label]
                content[f"{folder}/{one.stem(number)}.png"] = png(pixels)
    return content
