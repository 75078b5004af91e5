"""Rows of CSV files in a tree, with errors that name the file."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ferjax.data.prepare.readers.zip_tree import DAMAGE
from ferjax.errors import UserError


class Line(NamedTuple):
    """One row of a table: its number from 1, how to call it in a message, and its cells."""

    number: int
    at: str
    cells: list[str]


def table(
    file: io.TextIOWrapper, where: str, title: str, wanted: Sequence[str]
) -> tuple[list[str], Iterator[Line]]:
    """A file with a header, whose columns may stand in any order among others.

    Args:
      file: a file that `tree.Tree.open_text` opened.
      where: what to call it in a message.
      title: what it should be.
      wanted: names of columns, without regard to capitals.

    Returns:
      The names of all columns, and the rows after the header with their cells in the order of
      `wanted`.

    Raises:
      UserError: see `rows`; or a column is missing in the header, or there twice. The iterator
        raises one for a row with another number of cells.
    """
    lines = rows(file, where, title)
    columns = [column.strip() for column in next(lines, [])]
    names = [column.lower() for column in columns]
    if not {name.lower() for name in wanted} <= set(names):
        raise UserError(
            f"{where} is not {title}: expected a header with the columns {', '.join(wanted)}, "
            f"found {shortened(','.join(columns))!r}."
        )
    for name in wanted:
        same = [column for column in columns if column.lower() == name.lower()]
        if len(same) > 1:
            raise UserError(
                f"{where} has {len(same)} columns named {name} ({', '.join(same)}), and which one "
                "is meant is not known; remove or rename the others."
            )
    places = [names.index(name.lower()) for name in wanted]

    def parsed() -> Iterator[Line]:
        for number, line in enumerate(lines, start=1):
            at = f"{where}, row {number} after the header"
            if len(line) != len(columns):
                raise UserError(f"{at}: expected {len(columns)} fields, found {len(line)}.")
            yield Line(number, at, [line[place] for place in places])

    return columns, parsed()


def rows(file: io.TextIOWrapper, where: str, title: str) -> Iterator[list[str]]:
    """The rows that are not empty lines.

    Args:
      file: a file that `tree.Tree.open_text` opened.
      where: what to call it in a message.
      title: what it should be.

    Raises:
      UserError: it is no CSV file, or is a damaged member of a zip.
    """
    try:
        yield from (row for row in csv.reader(file) if row)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} is not {title}: it is no UTF-8 text ({error}). Save it as UTF-8."
        ) from None
    except csv.Error as error:
        raise UserError(
            f"{where} is not {title}: it cannot be read as a CSV file ({error})."
        ) from None
    except DAMAGE as error:
        raise UserError(f"{where} is damaged ({error}). Download it again.") from None


def shortened(text: str) -> str:
    """What was found, short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
