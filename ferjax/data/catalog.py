"""The data sets that exist: their classes, sizes, splits and how to obtain them.

README.md in this folder explains how to add one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ferjax.data import labels
from ferjax.data.labels import LabelSpace
from ferjax.errors import UserError, nearest

SPLITS = ("train", "validation", "test")
# What can be scored: each split, or the two that do not train, as one.
SCORED_SPLITS = (*SPLITS, "validation+test")
HELD_OUT_SPLITS = SCORED_SPLITS[1:]

# For each stored split, the number of examples of each class in label order, or of all together.
Counts = Mapping[str, tuple[int, ...] | int]


@dataclass(frozen=True)
class DatasetSpec:
    """The facts about a data set that are known before it is read.

    Attributes:
      name: its name in `--dataset=` and in the data directory.
      title: its name for people.
      labels: its classes; None if the user's own copy decides.
      expected_counts: the number of examples of a whole copy, for each stored split; None if any
        number is allowed.
      image_shape: (H, W, C) of the stored images, unless the user asks for another size; None if
        the user's own copy or an option decides.
      how_to_obtain: instructions for a user without a copy; "" if there is nothing to do.
      scheme: how train, validation and test are made from the stored splits (see `splitters`).
      is_made: whether ferjax makes it itself when it is first used.
    """

    name: str
    title: str
    labels: LabelSpace | None
    expected_counts: Counts | None
    image_shape: tuple[int, int, int] | None
    how_to_obtain: str
    scheme: str = "official"
    is_made: bool = False


FER2013 = DatasetSpec(
    name="fer2013",
    title="FER2013",
    labels=labels.FER2013,
    expected_counts={
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    },
    image_shape=(48, 48, 1),
    how_to_obtain=(
        "FER2013 is on Kaggle (an account is needed). Any of these will do: the data set "
        "msambare/fer2013 (a zip of image folders; it need not be unpacked), the data set "
        "deadskull7/fer2013 (fer2013.csv), or icml_face_data.csv of the competition "
        "challenges-in-representation-learning-facial-expression-recognition-challenge. "
        "Prepare it once with\n"
        "  python -m ferjax.data.prepare --dataset=fer2013 --source=PATH_OF_ZIP_FOLDER_OR_CSV"
    ),
)

FER_PLUS = DatasetSpec(
    name="fer_plus",
    title="FER+",
    labels=labels.FER_PLUS,
    expected_counts={"train": 28558, "validation": 3579, "test": 3573},
    image_shape=(48, 48, 1),
    how_to_obtain=(
        "FER+ is a file of votes, fer2013new.csv of the repository microsoft/FERPlus on GitHub, "
        "for the images of FER2013, fer2013.csv or icml_face_data.csv on Kaggle. Put both files "
        "into one folder, or take the folders FER2013Train, FER2013Valid and FER2013Test that its "
        "scripts make, and prepare it once with\n"
        "  python -m ferjax.data.prepare --dataset=fer_plus --source=FOLDER_OR_ZIP"
    ),
    scheme="ballots",
)

RAF_DB = DatasetSpec(
    name="raf_db",
    title="RAF-DB",
    labels=labels.RAF_DB,
    expected_counts={
        "train": (1290, 281, 717, 4772, 1982, 705, 2524),
        "test": (329, 74, 160, 1185, 478, 162, 680),
    },
    image_shape=(100, 100, 3),
    how_to_obtain=(
        "RAF-DB is given to researchers who sign an agreement; ask at "
        "http://www.whdeld.cn/RAF/model1.html for the basic emotions. Prepare your copy, the "
        "folder that holds Image/aligned and EmoLabel (or the DATASET folder with train_labels.csv "
        "and test_labels.csv), once with\n"
        "  python -m ferjax.data.prepare --dataset=raf_db --source=FOLDER_OR_ZIP"
    ),
    scheme="held_out",
)

CK_PLUS = DatasetSpec(
    name="ck_plus",
    title="CK+",
    labels=labels.CK_PLUS,
    expected_counts={"whole": (135, 54, 177, 75, 207, 84, 249)},
    image_shape=(128, 128, 1),
    how_to_obtain=(
        "CK+ is given to researchers who sign an agreement; ask at "
        "https://www.jeffcohn.net/Resources/. Prepare your copy, the folder that holds "
        "cohn-kanade-images, Emotion and Landmarks (or CK+48, one folder of images for each "
        "class), once with\n"
        "  python -m ferjax.data.prepare --dataset=ck_plus --source=FOLDER_OR_ZIP"
    ),
    scheme="folds",
)

IMAGE_FOLDER = DatasetSpec(
    name="image_folder",
    title="A folder of images",
    labels=None,
    expected_counts=None,
    image_shape=None,
    how_to_obtain=(
        "Sort your images into one folder for each class, below train, validation and test if "
        "they are split already, and prepare them under a name of your own with\n"
        "  python -m ferjax.data.prepare --dataset=image_folder --name=NAME --source=FOLDER_OR_ZIP"
    ),
    scheme="shares",
)

SYNTHETIC = DatasetSpec(
    name="synthetic",
    title="Synthetic faces",
    labels=labels.FER2013,
    expected_counts=None,
    image_shape=None,
    how_to_obtain="",
    is_made=True,
)

DATASETS = {
    spec.name: spec for spec in (FER2013, FER_PLUS, RAF_DB, CK_PLUS, IMAGE_FOLDER, SYNTHETIC)
}


def check_own_name(spec: DatasetSpec, own_name: str, field: str) -> None:
    """Raises a UserError unless a user's own name for a data set can name a folder.

    Args:
      spec: the data set of the catalog.
      own_name: the user's name.
      field: the flag or field that has the name, for messages.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", own_name):
        raise UserError(
            f"{field} is {own_name!r}; {spec.name} needs a name of your own to tell it from "
            "others: small letters, digits and _, beginning with a letter."
        )


def other_splits(split: str) -> tuple[str, ...]:
    """The splits that are not part of `split`, one of `SCORED_SPLITS`."""
    return tuple(other for other in SPLITS if other not in split.split("+"))


def find(name: str) -> DatasetSpec:
    """The data set called `name`; raises a UserError that lists what exists if there is none."""
    if name not in DATASETS:
        listing = ", ".join(sorted(DATASETS))
        raise UserError(
            f"there is no data set {name!r}.{nearest(name, DATASETS)} There are: {listing}."
        )
    return DATASETS[name]
