"""RAF-DB as tests write it: its names and layouts, with images whose red tells their class."""

import dataclasses
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from ferjax.data import catalog

COUNTS = {"train": (3, 1, 2, 4, 1, 2, 3), "test": (1, 2, 1, 2, 1, 1, 1)}
SPEC = dataclasses.replace(catalog.RAF_DB, expected_counts=COUNTS)
LIST = "EmoLabel/list_patition_label.txt"


class Face(NamedTuple):
    """One image: its name without an ending, as train_00001, its label from 0, and its JPEG."""

    stem: str
    label: int
    data: bytes

    @property
    def split(self):
        return self.stem.split("_")[0]

    @property
    def aligned(self):
        return f"{self.stem}_aligned.jpg"


def level(label):
    """The red level of an image of a class, up to a few."""
    return 20 + 30 * label


def jpeg(label, number, size=100):
    """The bytes of a colour JPEG whose red tells the class and whose other colours the number."""
    buffer = io.BytesIO()
    colour = (level(label), number % 200, number // 200)
    Image.new("RGB", (size, size), colour).save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


def faces(counts=COUNTS, size=100):
    """All images, numbered in an order that mixes the classes, as in the real list."""
    result = []
    for split, each in counts.items():
        labels = np.repeat(np.arange(len(each)), each)
        np.random.default_rng(len(labels)).shuffle(labels)
        digits = 5 if split == "train" else 4
        result += [
            Face(f"{split}_{number:0{digits}}", int(label), jpeg(label, len(result) + number, size))
            for number, label in enumerate(labels, start=1)
        ]
    return result


def official(images):
    """Name -> content in the layout of the authors."""
    content = {f"Image/aligned/{face.aligned}": face.data for face in images}
    rows = "".join(f"{face.stem}.jpg {face.label + 1}\n" for face in images)
    return content | {LIST: rows.encode()}


def kaggle(images):
    """Name -> content in the layout of Kaggle, with the CSV files beside DATASET."""
    content = {
        f"DATASET/{face.split}/{face.label + 1}/{face.aligned}": face.data for face in images
    }
    for split in ("train", "test"):
        rows = [f"{face.aligned},{face.label + 1}\n" for face in images if face.split == split]
        content[f"{split}_labels.csv"] = ("image,label\n" + "".join(rows)).encode()
    return content
