"""Which data sets there are: their classes, sizes and where a person gets them.

A data set that joins needs an entry here, a reader and a builder (both named in preparation.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ferjax.data import labels
from ferjax.data.labels import LabelSpace
from ferjax.errors import UserError, nearest

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set before it is read.

    Attributes:
      name: as in `--dataset=` and in the data directory.
      title: as a person writes it.
      labels: its classes.
      expected_counts: for each split, the number of examples of each class in label order; None
        for a data set that ferjax makes itself, of any size.
      how_to_obtain: what a person who has no copy should do; "" where nothing is to be done.
    """

    name: str
    title: str
    labels: LabelSpace
    expected_counts: Mapping[str, tuple[int, ...]] | None
    how_to_obtain: str


FER2013 = DatasetSpec(
    name="fer2013",
    title="FER2013",
    labels=labels.FER2013,
    expected_counts={
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    },
    how_to_obtain=(
        "FER2013 is on Kaggle (an account is needed). Any of these will do: the data set "
        "msambare/fer2013 (a zip of image folders; it need not be unpacked), the data set "
        "deadskull7/fer2013 (fer2013.csv), or icml_face_data.csv of the competition "
        "challenges-in-representation-learning-facial-expression-recognition-challenge. "
        "Prepare it once with\n"
        "  python -m ferjax.data.prepare --dataset=fer2013 --source=PATH_OF_ZIP_FOLDER_OR_CSV"
    ),
)

SYNTHETIC = DatasetSpec(
    name="synthetic",
    title="Synthetic faces",
    labels=labels.FER2013,
    expected_counts=None,
    how_to_obtain="",
)

DATASETS = {spec.name: spec for spec in (FER2013, SYNTHETIC)}


def find(name: str) -> DatasetSpec:
    """The data set called `name`; raises a UserError that lists what exists if there is none."""
    if name not in DATASETS:
        listing = ", ".join(sorted(DATASETS))
        raise UserError(
            f"there is no data set {name!r}.{nearest(name, DATASETS)} There are: {listing}."
        )
    return DATASETS[name]
