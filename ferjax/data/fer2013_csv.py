"""FER2013 as a CSV file: fer2013.csv (emotion,pixels,Usage) or icml_face_data.csv, whose header
has leading spaces and another order (emotion, Usage, pixels). Columns are found by name.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

from ferjax.data.collect import Collector
from ferjax.data.examples import Examples
from ferjax.data.fer2013_images import IMAGE_SIZE, USAGE_TO_SPLIT
from ferjax.data.labels import FER2013
from ferjax.data.trees import Tree
from ferjax.errors import UserError

COLUMNS = ("emotion", "pixels", "Usage")

_NUM_PIXELS = IMAGE_SIZE * IMAGE_SIZE


def read(tree: Tree, name: str, on_example: Callable[[], None]) -> tuple[str, dict[str, Examples]]:
    """Reads one CSV file of `tree`.

    Returns:
      Which of the two forms it has, and the examples of each split. Keys are "row 1", "row 2", ...
      counted from the first row after the header.

    Raises:
      UserError: the header or a row is not as it should be; rows are named by their number.
    """
    where = tree.where(name)
    collector = Collector(tuple(USAGE_TO_SPLIT.values()), (IMAGE_SIZE, IMAGE_SIZE, 1))
    with tree.open_text(name) as file:
        rows = _rows(file, where)
        header = next(rows, [])
        columns = [column.strip() for column in header]
        if not set(COLUMNS) <= set(columns):
            raise UserError(
                f"{where} is not FER2013: expected a header with the columns "
                f"{', '.join(COLUMNS)}, found {_shortened(','.join(header))!r}."
            )
        emotion, pixels, usage = (columns.index(column) for column in COLUMNS)
        for number, row in enumerate(rows, start=1):
            at = f"{where}, row {number} after the header"
            if len(row) != len(columns):
                raise UserError(f"{at}: expected {len(columns)} fields, found {len(row)}.")
            collector.add(
                _split(row[usage], at),
                _label(row[emotion], at),
                _pixels(row[pixels], at),
                f"row {number}",
            )
            on_example()
    is_icml = columns.index("Usage") < columns.index("pixels")
    return "icml_face_data.csv" if is_icml else "fer2013.csv", collector.examples()


def _rows(file: io.TextIOWrapper, where: str) -> Iterator[list[str]]:
    """The rows that are not empty lines."""
    try:
        yield from (row for row in csv.reader(file) if row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{where} is not FER2013: it cannot be read as a CSV file ({error}); a zip, a folder, "
            "fer2013.csv or icml_face_data.csv is expected."
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise UserError(f"{where} is damaged ({error}). Download the zip again.") from None


def _split(text: str, at: str) -> str:
    usage = text.strip()
    if usage not in USAGE_TO_SPLIT:
        raise UserError(
            f"{at}: Usage must be one of {', '.join(USAGE_TO_SPLIT)}, found {_shortened(text)!r}."
        )
    return USAGE_TO_SPLIT[usage]


def _label(text: str, at: str) -> int:
    valid = {str(label): label for label in range(FER2013.num_classes)}
    if text.strip() not in valid:
        raise UserError(
            f"{at}: emotion must be a whole number from 0 to {FER2013.num_classes - 1}, found "
            f"{_shortened(text)!r}."
        )
    return valid[text.strip()]


def _pixels(text: str, at: str) -> bytes:
    values = text.split()
    if len(values) != _NUM_PIXELS:
        raise UserError(
            f"{at}: expected {_NUM_PIXELS} pixels ({IMAGE_SIZE}x{IMAGE_SIZE}), found "
            f"{len(values)}. The file may be cut short: download it again."
        )
    try:
        return bytes(map(int, values))
    except ValueError:
        wrong = next(v for v in values if not re.fullmatch(r"\d{1,3}", v) or int(v) > 255)
        raise UserError(
            f"{at}: pixels must be whole numbers from 0 to 255, found {_shortened(wrong)!r}."
        ) from None


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
