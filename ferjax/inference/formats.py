"""Predictions as text, written as they come: for people, for spreadsheets, for programs.

    table   aligned columns, the file's name last, so that no line is ever folded
    csv     a header, then a line per file: file, label, a fraction per class, remarks, error
    jsonl   an object per line: file, label, probabilities, remarks; or file, error
    json    one object: workdir or model, images (as the objects of jsonl), unreadable, complete

Where faces are looked for, a photograph has a line or an object for each of its faces, or one that
says that it has none. CSV then has more columns, at the end: face (1, 2, ...; 0 where there is
none; empty where none was looked for), score, left, top, right, bottom. An object of JSON has face,
score and box.

Shapes: K classes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from ferjax.errors import one_line
from ferjax.inference.faces.face import Face

FORMATS = ("table", "csv", "json", "jsonl")
# More columns of CSV, and the width of a box in a table.
_PLACE = ("face", "score", "left", "top", "right", "bottom")
_BOX_WIDTH = 19


class Row(NamedTuple):
    """One file, or one face in it.

    Attributes:
      file: its path.
      label: the most probable class; "" if there is none.
      probabilities: fractions [K]; empty if it could not be read, or has no face.
      remarks: what is worth saying about it.
      problem: why it could not be read; "" if it could.
      number: of the face in the file, from 1; 0 if the file has none; None if none was looked for.
      face: the face.
    """

    file: str
    label: str
    probabilities: Sequence[float]
    remarks: Sequence[str] = ()
    problem: str = ""
    number: int | None = None
    face: Face | None = None


class TableFormat:
    """Aligned columns for people, and for grep: probabilities in percent.

    What could not be read has no line: the command lists it in the end.

    Args:
      names: the class names.
      has_faces: whether there are columns for the places of faces.
    """

    def __init__(self, names: Sequence[str], has_faces: bool = False):
        self._names, self._has_faces = names, has_faces
        self._widths = [max(len(one_line(name)), 5) for name in names]
        self._label_width = max(len("expression"), *map(len, map(one_line, names)))
        if has_faces:
            self._widths += [len("face"), len("score"), _BOX_WIDTH]
        self._has_rows = False

    def head(self) -> str:
        """Nothing: the names of the columns come with the first line, if there is one."""
        return ""

    def row(self, row: Row) -> str:
        """One line."""
        if row.problem:
            return ""
        columns = [*self._names, *(["face", "score", "box"] if self._has_faces else [])]
        head = "" if self._has_rows else self._line("expression", columns, "file")
        self._has_rows = True
        shown = [f"{100 * value:.1f}" for value in row.probabilities]
        shown = shown or ["-"] * len(self._names)
        if self._has_faces:
            number = str(row.number) if row.face else "-"
            place = (f"{row.face.score:.2f}", box_text(row.face)) if row.face else ("-", "-")
            shown += [number, *place]
        return head + self._line("no face" if row.number == 0 else row.label, shown, row.file)

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

    Args:
      names: the class names.
      has_faces: whether there are columns for the places of faces.
    """

    def __init__(self, names: Sequence[str], has_faces: bool = False):
        self._names, self._has_faces = names, has_faces

    def head(self) -> str:
        """The names of the columns; a class may be called as one of the others."""
        places = _PLACE if self._has_faces else ()
        return _csv_line(["file", "label", *self._names, "remarks", "error", *places])

    def row(self, row: Row) -> str:
        """One line; label and classes are empty for a file without a face that could be read."""
        values = [_number(value) for value in row.probabilities] or [""] * len(self._names)
        cells = [row.file, row.label, *values, "; ".join(row.remarks), row.problem]
        if self._has_faces:
            cells.append("" if row.number is None else str(row.number))
            cells += map(_number, (row.face.score, *row.face.box)) if row.face else [""] * 5
        return _csv_line(cells)

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
      workdir: the run, or the name of a model.
      kind: which of both it is: "workdir" or "model".
    """

    def __init__(self, names: Sequence[str], workdir: str, kind: str = "workdir"):
        self._names, self._workdir, self._kind = names, workdir, kind
        self._is_first = True
        self._unreadable: list[dict[str, Any]] = []

    def head(self) -> str:
        """The beginning, up to the list of images."""
        return f'{{\n  "{self._kind}": {json.dumps(_text(self._workdir))},\n  "images": ['

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


def create(
    name: str,
    names: Sequence[str],
    workdir: str,
    *,
    kind: str = "workdir",
    has_faces: bool = False,
) -> Format:
    """The format of a name in `FORMATS`.

    Args:
      name: of the format.
      names: the class names.
      workdir: the run, or the name of a model.
      kind: which of both it is: "workdir" or "model".
      has_faces: whether faces are looked for.
    """
    if name == "json":
        return JsonFormat(names, workdir, kind)
    if name == "table":
        return TableFormat(names, has_faces)
    return CsvFormat(names, has_faces) if name == "csv" else JsonLinesFormat(names)


def box_text(face: Face) -> str:
    """The box of a face: left,top,right,bottom in whole pixels."""
    return ",".join(f"{edge:.0f}" for edge in face.box)


def _object(row: Row, names: Sequence[str]) -> dict[str, Any]:
    if row.problem:
        return {"file": _text(row.file), "error": _text(row.problem)}
    made: dict[str, Any] = {"file": _text(row.file)}
    if row.number is not None:
        made["face"] = row.number
    if row.face is not None:
        made["score"] = float(_number(row.face.score))
        made["box"] = [float(_number(edge)) for edge in row.face.box]
    values = [float(_number(value)) for value in row.probabilities]
    made["label"] = row.label or None
    made["probabilities"] = dict(zip(names, values, strict=True)) if values else None
    return {**made, "remarks": list(row.remarks)}


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
