"""Rows of CSV files in a tree, with errors that name the file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.readers import numbers
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.prepare.readers.zip_tree import DAMAGE
from ferjax.errors import UserError

Row = TypeVar("Row")
_OTHER_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Line(NamedTuple):
    """One row of a table: its number from 1, how to call it in a message, and its cells."""

    number: int
    at: str
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A file with a header, as `table` opened it.

    Attributes:
      where: what to call it in a message.
      columns: the names of all columns.
      places: where the wanted columns are among them.
      lines: the rows after the header.
    """

    where: str
    columns: Sequence[str]
    places: Sequence[int]
    lines: Iterator[list[str]]

    def rows(self, parse: Callable[[Line], Row]) -> Iterator[Row]:
        """What `parse` makes of each row, whose cells are in the order of the wanted columns.

        Raises:
          UserError: see `rows`; and after the last row, if `parse` raised one or if rows have
            another number of cells. All of these are counted, and the first are named.
        """
        faults, number = Faults(), 0
        for number, line in enumerate(self.lines, start=1):
            row = None
            with faults.caught(number):
                at = f"{self.where}, row {number} after the header"
                if len(line) != len(self.columns):
                    raise Fault(
                        f"{at}: expected {len(self.columns)} fields, found {len(line)}.",
                        "Remove rows that are no images, or take the whole file again if it was "
                        "cut short.",
                    )
                row = parse(Line(number, at, [line[place] for place in self.places]))
            if row is not None:
                yield row
        faults.check(f"{number:,} rows of {self.where}")


def table(file: io.TextIOWrapper, where: str, title: str, wanted: Sequence[str]) -> Table:
    """A file with a header, whose columns may stand in any order among others.

    Args:
      file: a file that `tree.Tree.open_text` opened.
      where: what to call it in a message.
      title: what it should be.
      wanted: names of columns, without regard to capitals.

    Raises:
      UserError: see `rows`; or a column is missing in the header, or there twice.
    """
    lines = rows(file, where, title)
    columns = [column.strip() for column in next(lines, [])]
    names = [column.lower() for column in columns]
    missing = [name for name in wanted if name.lower() not in names]
    if missing:
        raise UserError(
            f"{where} is not {title}: expected a header with the columns {', '.join(wanted)}, "
            f"found {shortened(','.join(columns))!r}. {_fix(where, columns, wanted, missing)}"
        )
    for name in wanted:
        same = [column for column in columns if column.lower() == name.lower()]
        if len(same) > 1:
            raise UserError(
                f"{where} has {len(same)} columns named {name} ({', '.join(same)}), and which one "
                "is meant is not known; remove or rename the others."
            )
    return Table(where, columns, [names.index(name.lower()) for name in wanted], lines)


def _fix(where: str, columns: Sequence[str], wanted: Sequence[str], missing: Sequence[str]) -> str:
    """What is wrong with a header and what to do, as a sentence."""
    for mark, name in _OTHER_MARKS.items():
        parts = {part.strip().lower() for part in columns[0].split(mark)} if columns else set()
        if len(columns) == 1 and {one.lower() for one in wanted} <= parts:
            return f"Its columns are parted by {name}: save it with commas between them."
    if any(numbers.real(column) is not None for column in columns):
        return f"It begins with values: put the line {','.join(wanted)} above them, in their order."
    return f"It has no column {', '.join(missing)}."


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


def columns(tree: Tree, name: str) -> list[str]:
    """The names of the columns of a file, in small letters; none if it is no CSV file."""
    try:
        with tree.open_text(name) as file:
            return [column.strip().lower() for column in next(rows(file, "", ""), [])]
    except UserError:
        return []


def shortened(text: str) -> str:
    """What was found, short enough for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
