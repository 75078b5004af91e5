"""A small FER+ that tests write in both of its forms, over the images of the small FER2013."""

import csv
import dataclasses
import io
from pathlib import Path

import numpy as np
from PIL import Image

from ferjax.data import catalog
from tests.helpers import fake_fer2013

COUNTS = {"train": 10, "validation": 8, "test": 7}
SPEC = dataclasses.replace(catalog.FER_PLUS, expected_counts=COUNTS)
HEADER = [
    "Usage",
    "Image name",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
]
FOLDERS = {
    "Training": "FER2013Train",
    "PublicTest": "FER2013Valid",
    "PrivateTest": "FER2013Test",
}
# Rows that name no image: one of the training rows and one of the test rows.
UNNAMED = (3, 20)
BALLOTS = (
    (4, 0, 0, 1, 3, 2, 0, 0, 0, 0),  # no class has more than half
    (6, 0, 1, 1, 0, 0, 0, 0, 2, 0),  # neutral
    (0, 10, 0, 0, 0, 0, 0, 0, 0, 0),  # happiness
    (5, 0, 5, 0, 0, 0, 0, 0, 0, 0),  # two halves
    (2, 0, 0, 8, 0, 0, 0, 0, 0, 0),  # sadness
    (0, 0, 0, 0, 0, 0, 0, 0, 6, 4),  # unknown
    (3, 0, 0, 0, 0, 0, 0, 1, 6, 0),  # unknown
    (0, 0, 0, 0, 1, 0, 0, 9, 0, 0),  # contempt
)


def table(ballots=BALLOTS):
    """Rows [Usage, image name, ten votes] that belong to those of `fake_fer2013.rows`.

    `ballots` are the votes of a row each, in turn.
    """
    found = []
    for number, (_, _, usage) in enumerate(fake_fer2013.rows(fake_fer2013.files())):
        if number in UNNAMED:
            found.append([usage, "", *[0] * 9, 10])
        else:
            # The numbers of the real names are not those of the rows either.
            found.append([usage, f"fer{2 * number:07d}.png", *ballots[number % len(ballots)]])
    return found


def votes_csv(rows, header=HEADER) -> bytes:
    """fer2013new.csv."""
    file = io.StringIO()
    csv.writer(file).writerows([header, *rows])
    return file.getvalue().encode()


def write_csv_form(path: Path, rows=None, content=None, images=fake_fer2013.write_fer2013_csv):
    """A folder with fer2013new.csv and a CSV of images; returns the folder."""
    path.mkdir()
    (path / "fer2013new.csv").write_bytes(votes_csv(table() if rows is None else rows))
    name = {
        fake_fer2013.write_fer2013_csv: "fer2013.csv",
        fake_fer2013.write_icml_csv: "icml_face_data.csv",
    }[images]
    images(path / name, fake_fer2013.rows(content or fake_fer2013.files()))
    return path


def folder_files(box=True, ballots=BALLOTS):
    """Name -> bytes of the folder form; `ballots` as for `table`."""
    found, labels = {}, {folder: io.StringIO() for folder in FOLDERS.values()}
    for row, jpeg in zip(table(ballots), fake_fer2013.files().values(), strict=True):
        usage, name, *votes = row
        if name:
            file = io.BytesIO()
            Image.fromarray(np.asarray(Image.open(io.BytesIO(jpeg)))).save(file, "PNG")
            found[f"{FOLDERS[usage]}/{name}"] = file.getvalue()
            between = ["(0, 0, 48, 48)"] if box else []
            csv.writer(labels[FOLDERS[usage]]).writerow([name, *between, *votes])
    for folder, text in labels.items():
        found[f"{folder}/label.csv"] = text.getvalue().encode()
    return found
