"""A small FER2013 that tests write in every form the real one is passed around in."""

import csv
import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ferjax.data import catalog

COUNTS = {
    "train": (2, 1, 1, 3, 1, 1, 2),
    "validation": (1, 1, 1, 1, 1, 1, 2),
    "test": (1, 2, 1, 1, 1, 1, 1),
}
SPEC = dataclasses.replace(catalog.FER2013, expected_counts=COUNTS)
TOTAL = sum(map(sum, COUNTS.values()))
USAGES = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def jpeg(seed, size=(48, 48), mode="L"):
    """The bytes of a JPEG of noise."""
    channels = {"L": (), "RGB": (3,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def files(seed=0):
    """Name -> JPEG bytes. Numbers repeat across classes, as in the real data set."""
    result = {}
    for split, usage in USAGES.items():
        folder = "train" if split == "train" else "test"
        for label, name in enumerate(NAMES):
            for number in range(COUNTS[split][label]):
                image = jpeg([seed, len(result)])
                result[f"{folder}/{name}/{usage}_{number}.jpg"] = image
    return result


def write_folder(path: Path, content) -> Path:
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_zip(path: Path, content, prefix="") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(prefix + name, data)
    return path


def rows(content):
    """(emotion, pixels, Usage) of each image, as the CSV files have them."""
    for name, data in content.items():
        _, class_name, file_name = name.split("/")
        pixels = np.asarray(Image.open(io.BytesIO(data))).reshape(-1)
        yield NAMES.index(class_name), " ".join(map(str, pixels)), file_name.split("_")[0]


def write_fer2013_csv(path: Path, all_rows) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("emotion", "pixels", "Usage"), *all_rows])
    return path


def write_icml_csv(path: Path, all_rows) -> Path:
    with path.open("w", newline="") as file:
        reordered = [(emotion, usage, pixels) for emotion, pixels, usage in all_rows]
        csv.writer(file).writerows([("emotion", " Usage", " pixels"), *reordered])
    return path
