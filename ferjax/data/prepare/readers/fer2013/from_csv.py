"""FER2013 as a CSV file: fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv, whose header
has leading spaces and another order (emotion, Usage, pixels). Columns are found by name.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ferjax.data.examples import Examples
from ferjax.data.labels import FER2013
from ferjax.data.prepare.readers import csv_files, numbers
from ferjax.data.prepare.readers.collect import Collector
from ferjax.data.prepare.readers.fer2013.from_images import IMAGE_SIZE, USAGE_TO_SPLIT
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

COLUMNS = ("emotion", "pixels", "Usage")

_TITLE = "FER2013 (a zip, a folder, fer2013.csv or icml_face_data.csv)"
_NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE


class Row(NamedTuple):
    """One row: its number from 1, its split, its label, and its 48x48 grey values row by row."""

    number: int
    split: str
    label: int
    pixels: bytes


def read(tree: Tree, name: str, on_example: Callable[[], None]) -> tuple[str, dict[str, Examples]]:
    """Reads one CSV file of `tree`.

    Returns:
      Which of the two forms it has, and the examples of each split. Keys are "row 1", "row 2", ...
      counted from the first row after the header.

    Raises:
      UserError: the header or a row is not as it should be; rows are named by their number.
    """
    collector = Collector(tuple(USAGE_TO_SPLIT.values()), (IMAGE_SIZE, IMAGE_SIZE, 1))
    with opened(tree, name) as (form, rows):
        for row in rows:
            collector.add(row.split, row.label, row.pixels, f"row {row.number}")
            on_example()
    return form, collector.examples()


@contextlib.contextmanager
def opened(tree: Tree, name: str) -> Iterator[tuple[str, Iterator[Row]]]:
    """Which of the two forms a CSV file has, and its rows one by one; raises as `read` does."""
    where = tree.where(name)
    with tree.open_text(name) as file:
        columns, lines = csv_files.table(file, where, _TITLE, COLUMNS)
        names = [column.lower() for column in columns]
        is_icml = names.index("usage") < names.index("pixels")
        yield "icml_face_data.csv" if is_icml else "fer2013.csv", _rows(lines)


def _rows(lines: Iterator[csv_files.Line]) -> Iterator[Row]:
    for number, at, (emotion, pixels, usage) in lines:
        yield Row(number, split_of(usage, at), _label(emotion, at), _pixels(pixels, at))


def split_of(text: str, at: str) -> str:
    """The split that a Usage means; a UserError says where `at` is another word."""
    usage = text.strip()
    if usage not in USAGE_TO_SPLIT:
        raise UserError(
            f"{at}: Usage must be one of {', '.join(USAGE_TO_SPLIT)}, found "
            f"{csv_files.shortened(text)!r}."
        )
    return USAGE_TO_SPLIT[usage]


def _label(text: str, at: str) -> int:
    valid = {str(label): label for label in range(FER2013.num_classes)}
    if text.strip() not in valid:
        raise UserError(
            f"{at}: emotion must be a whole number from 0 to {FER2013.num_classes - 1}, found "
            f"{csv_files.shortened(text)!r}."
        )
    return valid[text.strip()]


def _pixels(text: str, at: str) -> bytes:
    values = text.split()
    if len(values) != _NUM_PIXELS:
        raise UserError(
            f"{at}: expected {_NUM_PIXELS} pixels ({IMAGE_SIZE}x{IMAGE_SIZE}), found "
            f"{len(values)}. The file may be cut short: download it again."
        )
    levels = numbers.whole(values, 255)
    if levels is None:
        wrong = next(value for value in values if numbers.whole([value], 255) is None)
        raise UserError(
            f"{at}: pixels must be whole numbers from 0 to 255, found "
            f"{csv_files.shortened(wrong)!r}."
        )
    return bytes(levels)
