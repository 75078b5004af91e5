"""metrics.jsonl: one JSON object per line, each step once, also after a kill and a resume.

Two kinds of rows:

    {"kind": "train", "step": 17, ...}               one optimizer step, 1-based
    {"kind": "epoch", "step": 224, "epoch": 1, ...}  after an epoch and its validation, 1-based

Steps rise strictly within each kind. A number that is NaN or infinite is null, because JSON has no
such number, and its name is in the row's list "nonfinite".
"""

import contextlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferjax import filesystem, local_files, stored_json
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.workdir import schemas
from ferjax.workdir.growing_files import Growing

Row = dict[str, Any]
_LONGEST_LINE = 1 << 20  # bytes


class JsonlLog:
    """An append-only file of rows that survives SIGKILL and resumes at a step.

    Args:
        path: the file, local or remote; a local folder must exist.
        resume_step: step of the checkpoint that the run continues from; 0 starts afresh. Rows of
            later steps, and a last line cut short, are dropped from the file at once.

    Attributes:
        num_kept: how many rows of each kind the file has up to `resume_step`.

    Raises:
        UserError: a line that should be kept is not a row; the message names file and line.
    """

    def __init__(self, path: str | os.PathLike[str], resume_step: int = 0):
        self.path = filesystem.of(path)
        self._growing = Growing(self.path.parent)
        self._local = self._growing.local / self.path.name
        self._last_step, self.num_kept = _drop_later_rows(self.path, resume_step, self._local)
        self._growing.publish()
        # Not buffered: a killed process loses nothing it wrote, and `tail -f` follows the run.
        self._file = local_files.open_to_append(self._local)
        self._unwritten = b""

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends one row, which has "kind" and "step".

        Values may be Python or array scalars, strings, None, or lists, arrays and dicts of them.
        Rows that a full disk refuses are kept and retried; `flush` raises if any remain.

        Raises:
            ValueError: the step is not later than the last one of its kind.
        """
        kind, step = row["kind"], int(row["step"])
        last = self._last_step.get(kind)
        if last is not None and step <= last:
            raise ValueError(f"{self.path}: {kind} row of step {step} after step {last}")
        self._unwritten += (_encode(row) + "\n").encode()
        with contextlib.suppress(OSError):
            self._write_out()
        self._last_step[kind] = step

    def rows(self, kind: str, after_step: int = 0) -> list[Row]:
        """The rows of one kind whose step is later than `after_step`, oldest first."""
        return [
            row
            for _, row in read_rows(self._local)
            if row["kind"] == kind and row["step"] > after_step
        ]

    def flush(self) -> None:
        """Returns when everything written is on the disk, or in the object store.

        Raises:
            OSError: it cannot be written now; a later call tries again.
        """
        self._write_out()
        os.fsync(self._file.fileno())
        self._growing.publish()

    def close(self, *, publish: bool = True) -> None:
        """Flushes and closes the file; a second call does nothing.

        Args:
            publish: False leaves a remote file as it is.

        Raises:
            OSError: see `flush`; the file is closed all the same.
        """
        if not self._file.closed:
            try:
                if publish:
                    self.flush()
            finally:
                self._file.close()
                self._growing.close(publish=publish)

    def _write_out(self) -> None:
        while self._unwritten:
            self._unwritten = self._unwritten[self._file.write(self._unwritten) :]


def read_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, Row]]:
    """Yields (line number, row) of a metrics.jsonl; a last line without its end is left out.

    Raises:
        UserError: a complete line that is not a row, or not later than the one before of its
            kind; the message names file and line.
        OSError: the file cannot be read.
    """
    last: dict[str, int] = {}
    with filesystem.open_bytes(filesystem.of(path)) as file:
        for number in itertools.count(1):
            line = file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
                return
            try:
                yield number, _row(line, last)
            except stored_json.Unfit as error:
                found = line[:40].decode(errors="replace").strip()
                raise UserError(
                    f"{path}, line {number}: found {found!r}, which {error}; the file is damaged: "
                    "remove that line, or start in a new workdir"
                ) from None


def _row(line: bytes, last: dict[str, int]) -> Row:
    """A row that follows rows of each kind up to the `last` steps, which it moves on."""
    row = stored_json.check(stored_json.parse(line), schemas.Row)
    kind, step = row["kind"], row["step"]
    if kind == "epoch" and "epoch" not in row:
        raise stored_json.Unfit("has no field 'epoch', expected a whole number")
    if step <= last.get(kind, -1):
        raise stored_json.Unfit(f"has step = {step}, expected more than {last[kind]}")
    last[kind] = step
    return row


def _drop_later_rows(
    path: Place, resume_step: int, local: Path
) -> tuple[dict[str, int], Counter[str]]:
    """Writes `local` with the rows up to `resume_step`.

    Returns:
        The last step of each kind, and the number of its rows.
    """
    last: dict[str, int] = {}
    kept: list[str] = []
    counts: Counter[str] = Counter()
    try:
        for _, row in read_rows(path) if resume_step else ():
            if row["step"] <= resume_step:
                kept.append(_encode(row))
                last[row["kind"]] = row["step"]
                counts[row["kind"]] += 1
    except FileNotFoundError:
        pass  # its rows are lost, and the run goes on
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): restore it from a copy, or start "
            "in a new workdir."
        ) from None
    # A kill in between leaves the old file or the new one, whole.
    filesystem.write(local, "".join(line + "\n" for line in kept).encode())
    return last, counts


def _encode(row: Mapping[str, Any]) -> str:
    """One line of strict JSON."""
    nonfinite: list[str] = []
    plain = {name: _plain(value, name, nonfinite) for name, value in row.items()}
    if nonfinite:
        plain["nonfinite"] = nonfinite
    return json.dumps(plain, allow_nan=False)


def _plain(value: Any, name: str, nonfinite: list[str]) -> Any:
    """`value` in JSON's own types; appends `name` where it holds NaN or an infinity."""
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{name}.{key}", nonfinite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name, nonfinite) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    array = np.asarray(value)
    if array.ndim:
        return _plain(array.tolist(), name, nonfinite)
    if array.dtype.kind in "biu":
        return array.item()
    number = float(array)
    if np.isfinite(number):
        return number
    if name not in nonfinite:
        nonfinite.append(name)
    return None
