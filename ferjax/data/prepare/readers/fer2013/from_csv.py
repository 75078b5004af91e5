"""FER2013 as a CSV file: fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv, whose header
has leading spaces and another order (emotion, Usage, pixels). Columns are found by name. Copies
also have one file for each Usage, with the same columns.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ferjax.data.labels import FER2013
from ferjax.data.prepare.faults import Fault
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import ck_extended, csv_files, numbers, other_files
from ferjax.data.prepare.readers.fer2013.from_images import IMAGE_SIZE, USAGE_TO_SPLIT
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

COLUMNS = ("emotion", "pixels", "Usage")

_TITLE = "FER2013 (a zip, a folder, fer2013.csv or icml_face_data.csv)"
_NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE
_SPLIT_OF = {usage.lower(): split for usage, split in USAGE_TO_SPLIT.items()}


class Row(NamedTuple):
    """One row.

    Attributes:
      number: from 1, after the header.
      split: of its Usage.
      label: of its emotion.
      image: returns its grey values, uint8 [48, 48, 1], when called.
    """

    number: int
    split: str
    label: int
    image: Callable[[], np.ndarray]


def read(
    tree: Tree, names: Sequence[str], on_item: Callable[[], None]
) -> tuple[str, dict[str, list[Item]]]:
    """Reads one CSV file of `tree`, or several, of which each has other usages.

    Returns:
      Which of the two forms one file has, or the names of several; and the examples of each split.
      Keys are "row 1", "row 2", ... counted from the first row after the header.

    Raises:
      UserError: a header or rows are not as they should be; rows are named by their number. Or two
        files have rows of one Usage.
    """
    splits: dict[str, list[Item]] = {split: [] for split in USAGE_TO_SPLIT.values()}
    forms = []
    file_of: dict[str, str] = {}
    for name in names:
        with opened(tree, name) as (form, rows):
            for row in rows:
                if file_of.setdefault(row.split, name) != name:
                    raise UserError(
                        f"{tree.where(file_of[row.split])} and {tree.where(name)} both have rows "
                        f"of the {row.split} split, so that FER2013 may be there twice: pass one "
                        "file, or a folder whose files have one Usage each."
                    )
                key = f"row {row.number}" if len(names) == 1 else f"{name}, row {row.number}"
                splits[row.split].append(Item(key, row.label, row.image))
                on_item()
        forms.append(form if len(names) == 1 else name.split("/")[-1])
    return ", ".join(forms), splits


@contextlib.contextmanager
def opened(tree: Tree, name: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """Which of the two forms a CSV file has, and its rows one by one; raises as `read` does."""
    other_files.check_table(tree, name, _TITLE)
    with tree.open_text(name) as file:
        table = csv_files.table(file, tree.where(name), _TITLE, COLUMNS)
        names = [column.lower() for column in table.columns]
        is_icml = names.index("usage") < names.index("pixels")
        yield "icml_face_data.csv" if is_icml else "fer2013.csv", table.rows(_row)


def _row(line: csv_files.Line) -> Row:
    number, at, (emotion, pixels, usage) = line
    image = functools.partial(_image, _pixels(pixels, at))
    return Row(number, split_of(usage, at), _label(emotion, at), image)


def _image(pixels: bytes) -> np.ndarray:
    return np.frombuffer(pixels, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 1)


def split_of(text: str, at: str) -> str:
    """The split that a Usage of any case means; a UserError says where `at` is another word."""
    usage = re.sub(r"[ _-]", "", text.strip()).lower()
    if usage not in _SPLIT_OF:
        raise UserError(
            f"{at}: Usage must be one of {', '.join(USAGE_TO_SPLIT)}, found "
            f"{csv_files.shortened(text)!r}."
        )
    return _SPLIT_OF[usage]


def _label(text: str, at: str) -> int:
    """The label of an emotion, a whole number, also as programs write it in a column of reals."""
    number = numbers.real(text)
    if number is None or number not in range(FER2013.num_classes):
        raise Fault(
            f"{at}: emotion must be a whole number from 0 to {FER2013.num_classes - 1}, found "
            f"{csv_files.shortened(text)!r}.",
            f"The file may be another table: {ck_extended.ABOUT}"
            if number == ck_extended.CONTEMPT
            else "",
        )
    return int(number)


def _pixels(text: str, at: str) -> bytes:
    values = text.split()
    if len(values) != _NUM_PIXELS:
        raise Fault(
            f"{at}: expected {_NUM_PIXELS} pixels ({IMAGE_SIZE}x{IMAGE_SIZE}), found "
            f"{len(values)}.",
            "The file was cut short or edited: take one that is not.",
        )
    levels = numbers.whole(values, 255)
    if levels is None:
        wrong = next(value for value in values if numbers.whole([value], 255) is None)
        raise UserError(
            f"{at}: pixels must be whole numbers from 0 to 255, found "
            f"{csv_files.shortened(wrong)!r}."
        )
    return bytes(levels)
