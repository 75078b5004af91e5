"""Where predictions go as they come: standard output, and a JSON file that is always valid."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ferjax import filesystem, local_files, refusals
from ferjax.cli import output
from ferjax.errors import UserError, literal
from ferjax.filesystem import Place
from ferjax.inference.formats import Format, Row


class StandardOutput:
    """Writes a document to standard output, and flushes it after every batch of rows.

    What would steer a terminal is spelled out where there is one.

    Args:
      document: its format.
      is_needed: whether the work is for nothing once it cannot be written; otherwise it goes on.
    """

    def __init__(self, document: Format, *, is_needed: bool):
        self._document, self._is_needed = document, is_needed
        self._has_begun = self._is_lost = False
        self._problem: UserError | None = None

    def write(self, rows: Iterable[Row]) -> None:
        """Appends rows.

        Raises:
          BrokenPipeError: nobody reads, and it is needed.
          UserError: it cannot be written, and is needed.
        """
        head = "" if self._has_begun else self._document.head()
        self._has_begun = True
        self._print(head + "".join(map(self._document.row, rows)))

    def end(self, *, complete: bool) -> None:
        """Ends the document, which lacks rows if it is not complete.

        Raises:
          UserError: it could not be written.
        """
        if complete and not self._has_begun:
            self.write(())
        if self._has_begun:
            self._print(self._document.tail(complete=complete))
        if self._problem is not None:
            raise self._problem

    def _print(self, text: str) -> None:
        if self._is_lost:
            return
        try:
            with output.checked():
                sys.stdout.write(literal(text) if sys.stdout.isatty() else text)
                sys.stdout.flush()
        except BrokenPipeError:
            if self._is_needed or not output.is_unread():
                raise
            output.silence()
            self._is_lost = True
        except UserError as error:
            if self._is_needed:
                raise
            self._problem, self._is_lost = error, True


class GrowingFile:
    """Writes a document to a file that is whole after every batch of rows, also if then killed.

    What the file held is there until the first batch is written. A file in an object store, which
    cannot grow, is written when all is done.

    Args:
      document: its format.
      place: the file, which `filesystem.check_output` has seen.
    """

    def __init__(self, document: Format, place: Place):
        self._document, self._place = document, place
        self._folder: str | None = None
        self._file: int | None = None
        self._end = 0  # of the rows; the tail comes after it
        self._tail = b""

    def write(self, rows: Iterable[Row]) -> None:
        """Appends rows; raises a UserError if the file cannot be written."""
        self._put("".join(map(self._document.row, rows)), complete=False, last=False)

    def end(self, *, complete: bool) -> None:
        """Ends the document, which lacks rows if it is not complete; raises as `write` does."""
        try:
            if complete or self._file is not None:
                self._put("", complete=complete, last=True)
            if self._folder is not None:
                assert filesystem.is_remote(self._place)
                filesystem.put(self._local, self._place)
        except OSError as error:
            raise self._refused(error) from None
        finally:
            if self._file is not None:
                os.close(self._file)
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _local(self) -> Path:
        if not filesystem.is_remote(self._place):
            return self._place
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="ferjax-")
        return Path(self._folder) / "growing"

    def _put(self, text: str, *, complete: bool, last: bool) -> None:
        try:
            if self._file is None:
                text = self._document.head() + text
            tail = self._document.tail(complete=complete, last=last).encode()
            body = text.encode()
            if self._file is None:
                self._file = _begun(self._local, body + tail)
            else:
                _write_at(self._file, body + tail, self._end)
                os.ftruncate(self._file, self._end + len(body) + len(tail))
            self._end += len(body)
            self._tail = tail
        except OSError as error:
            self._restore()
            raise self._refused(error) from None

    def _restore(self) -> None:
        """Leaves the document as it was before the rows for which there is no room."""
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._end)
            _write_at(self._file, self._tail, self._end)
        except OSError:
            return  # the error that is raised says that the file cannot be written

    def _refused(self, error: OSError) -> UserError:
        return UserError(
            f"{self._place} cannot be written ({refusals.problem(error)}): make room there, or let "
            "it be written, and run the same command again."
        )


def _begun(path: Path, data: bytes) -> int:
    """An open file that takes the place of another one when it holds its first data."""
    local_files.check_replaceable(path)
    beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(beside, flags, 0o666)
    try:
        _write_at(file, data, 0)
        os.replace(beside, path)
    except BaseException:
        os.close(file)
        beside.unlink(missing_ok=True)
        raise
    return file


def _write_at(file: int, data: bytes, position: int) -> None:
    while data:
        written = os.pwrite(file, data, position)
        data, position = data[written:], position + written
