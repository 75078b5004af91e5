"""Predictions as text, written as they come: for people, for spreadsheets, for programs.

    table   aligned columns, the file's name last, so that no line is ever folded
    csv     a header, then a line per file: file, label, a fraction per class, remarks, error
    jsonl   an object per line: file, label, probabilities, remarks; or file, error
    json    one object: workdir, images (as the objects of jsonl), unreadable, complete

Shapes: K classes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from ferjax.errors import one_line

FORMATS = ("table", "csv", "json", "jsonl")


class Row(NamedTuple):
    """One file.

    Attributes:
      file: its path.
      label: the most probable class.
      probabilities: fractions [K]; empty if it could not be read.
      remarks: what is worth saying about it.
      problem: why it could not be read; "" if it could.
    """

    file: str
    label: str
    probabilities: Sequence[float]
    remarks: Sequence[str] = ()
    problem: str = ""


class TableFormat:
    """Aligned columns for people, and for grep: probabilities in percent.

    What could not be read has no line: the command lists it in the end.
    """

    def __init__(self, names: Sequence[str]):
        self._names = names
        self._widths = [max(len(one_line(name)), 5) for name in names]
        self._label_width = max(len("expression"), *map(len, map(one_line, names)))
        self._has_rows = False

    def head(self) -> str:
        """Nothing: the names of the columns come with the first line, if there is one."""
        return ""

    def row(self, row: Row) -> str:
        """One line."""
        if row.problem:
            return ""
        head = "" if self._has_rows else self._line("expression", self._names, "file")
        self._has_rows = True
        shown = [f"{100 * value:.1f}" for value in row.probabilities]
        return head + self._line(row.label, shown, row.file)

    def tail(self, *, complete: bool, last: bool = True) -> str:
        """Nothing."""
        return ""

    def _line(self, label: str, cells: Sequence[str], file: str) -> str:
        shown = map(one_line, cells)
        figures = [cell.rjust(width) for cell, width in zip(shown, self._widths, strict=True)]
        return (
            "  ".join([one_line(label).ljust(self._label_width), *figures, one_line(file)]) + "\n"
        )


class CsvFormat:
    """Comma-separated values with a header.

    Names of files stay as they are, but for control characters, such as a line break, and bytes
    that are not UTF-8, which are written as Python writes them.
    """

    def __init__(self, names: Sequence[str]):
        self._names = names

    def head(self) -> str:
        """The names of the columns; a class may be called as one of the others."""
        return _csv_line(["file", "label", *self._names, "remarks", "error"])

    def row(self, row: Row) -> str:
        """One line; a file that could not be read has empty fields for label and classes."""
        if row.problem:
            return _csv_line([row.file, "", *[""] * len(self._names), "", row.problem])
        values = map(_number, row.probabilities)
        return _csv_line([row.file, row.label, *values, "; ".join(row.remarks), ""])

    def tail(self, *, complete: bool, last: bool = True) -> str:
        """Nothing."""
        return ""


class JsonLinesFormat:
    """One JSON object per line."""

    def __init__(self, names: Sequence[str]):
        self._names = names

    def head(self) -> str:
        """Nothing."""
        return ""

    def row(self, row: Row) -> str:
        """One object."""
        return json.dumps(_object(row, self._names), allow_nan=False) + "\n"

    def tail(self, *, complete: bool, last: bool = True) -> str:
        """Nothing."""
        return ""


class JsonFormat:
    """One JSON object, which `head`, rows and `tail` make whole at any time.

    Args:
      names: the class names.
      workdir: the run.
    """

    def __init__(self, names: Sequence[str], workdir: str):
        self._names, self._workdir = names, workdir
        self._is_first = True
        self._unreadable: list[dict[str, Any]] = []

    def head(self) -> str:
        """The beginning, up to the list of images."""
        return f'{{\n  "workdir": {json.dumps(_text(self._workdir))},\n  "images": ['

    def row(self, row: Row) -> str:
        """One object of the list; one that could not be read is kept for the tail."""
        made = _object(row, self._names)
        if row.problem:
            self._unreadable.append(made)
            return ""
        separator = "\n    " if self._is_first else ",\n    "
        self._is_first = False
        return separator + json.dumps(made, allow_nan=False)

    def tail(self, *, complete: bool, last: bool = True) -> str:
        """The end, with what could not be read if it is the `last`; `complete` if all is done."""
        lines = [f',\n  "complete": {json.dumps(complete)}\n}}\n']
        if last:
            lines.insert(0, f',\n  "unreadable": {json.dumps(self._unreadable)}')
        return "\n  ]" + "".join(lines)


# Each is a document that grows: `head`, then the text of each `row`, and at any time a `tail`, the
# last of which may tell more.
Format: TypeAlias = TableFormat | CsvFormat | JsonLinesFormat | JsonFormat


def create(name: str, names: Sequence[str], workdir: str) -> Format:
    """The format of a name in `FORMATS`, for classes `names` of the model in `workdir`."""
    if name == "json":
        return JsonFormat(names, workdir)
    simple: dict[str, Callable[[Sequence[str]], Format]] = {
        "table": TableFormat,
        "csv": CsvFormat,
        "jsonl": JsonLinesFormat,
    }
    return simple[name](names)


def _object(row: Row, names: Sequence[str]) -> dict[str, Any]:
    if row.problem:
        return {"file": _text(row.file), "error": _text(row.problem)}
    values = [float(_number(value)) for value in row.probabilities]
    return {
        "file": _text(row.file),
        "label": row.label,
        "probabilities": dict(zip(names, values, strict=True)),
        "remarks": list(row.remarks),
    }


def _number(value: float) -> str:
    """Seven digits, about what float32 has."""
    return f"{value:.7g}"


def _text(text: str) -> str:
    r"""A text that every reader of JSON takes: bytes of a name that are not UTF-8 become \xNN."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_plain, cells))
    return line.getvalue()


def _plain(cell: str) -> str:
    """A cell of one line that no program takes for anything else."""
    return "".join(
        one.encode("unicode_escape").decode() if unicodedata.category(one) == "Cc" else one
        for one in _text(cell)
    )
