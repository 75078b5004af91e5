"""Copies of FER2013 that lack what tells its splits or labels: what each lacks, and what has it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from ferjax.data.prepare.readers import csv_files, own_images
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, one_line, some

# What has all of it, as its publishers call it.
_WHOLE = ("icml_face_data.csv", "icml_face_data.csv.zip", "fer2013.csv", "fer2013.tar.gz")
# Images that its authors aligned, whatever their folder; copies have shorter names in its numbers.
_RAF_DB = re.compile(
    r"(.*/)?((train|test)_\d+_aligned|[1-7]/(train|test)_\d+)\.(jpe?g|png)", re.IGNORECASE
)


def check_columns(tree: Tree, tables: Sequence[str], beside: Sequence[str]) -> None:
    """Raises a UserError if tables are those of the competition, which lack Usage or labels.

    Args:
      tree: holds them.
      tables: the CSV files that would be read.
      beside: the names of all files.
    """
    columns = {name: set(csv_files.columns(tree, name)) for name in tables}
    training = [name for name, found in columns.items() if found == {"emotion", "pixels"}]
    unlabelled = [name for name, found in columns.items() if found == {"pixels"}]
    if not training and not unlabelled:
        return
    found = " and ".join(tree.where(name) for name in (*training, *unlabelled))
    whole = [name for name in beside if name.split("/")[-1].lower() in _WHOLE]
    has = f", as {some(whole)} here" if whole else ""
    pack = " Unpack it first if need be." if whole else ""
    raise UserError(
        f"{found}: train.csv of the competition has the training images alone, without a column "
        "Usage, and its test.csv has no labels. All images with label and Usage are in "
        f"icml_face_data.csv, which the same download holds{has}: pass that file.{pack}"
    )


def check_names(tree: Tree, names: Sequence[str]) -> None:
    """Raises a UserError if images lie in class folders without original names, or are RAF-DB."""
    _refuse_raf_db(tree, names)
    in_classes = {name: name.split("/") for name in own_images.in_classes(names)}
    if not in_classes:
        return
    above = {parts[-3].lower() for parts in in_classes.values() if len(parts) > 2}
    before = ""
    if "train" in above and "test" not in above and above - {"train"}:
        before = f" once its folder {one_line(min(above - {'train'}))} is called test,"
    raise UserError(
        f"{tree.path} has {len(in_classes):,} images in folders of classes, without the names that "
        f"FER2013 gives them ({some(in_classes)}). What is missing is the split: only names such "
        "as PublicTest_7.jpg and PrivateTest_7.jpg, or a column Usage, tell the images that select "
        "an epoch from those that test. Use a copy that has them, such as msambare/fer2013 on "
        f"Kaggle, or prepare this one,{before} as images of your own, with splits of its own:\n"
        f"  {own_images.command(tree, 'fer2013_copy')}"
    )


def _refuse_raf_db(tree: Tree, names: Sequence[str]) -> None:
    images = list(filter(_RAF_DB.fullmatch, names))
    if images:
        raise UserError(
            f"{tree.path} is not FER2013: it looks like RAF-DB, whose images have such names "
            f"({some(images)}). Prepare it with\n"
            "  python -m ferjax.data.prepare --dataset=raf_db "
            f"--source={shlex.quote(str(tree.path))}"
        )
