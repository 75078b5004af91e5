"""Files under one roof, read by name: an unpacked folder, or a zip that is read in memory."""

import io
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from ferjax.errors import UserError

# A FER2013 image has about 2 kB and its CSV files 300 MB: more is not what it claims to be.
MAX_MEMBER_BYTES = 1 << 30

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)


class Tree(ABC):
    """Named files that can be read one by one; names are relative, with forward slashes."""

    def __init__(self, path: Path):
        self.path = path

    @abstractmethod
    def names(self) -> list[str]:
        """All files, sorted, without hidden ones and what macOS adds to archives."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of one file."""

    @abstractmethod
    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as UTF-8 text, to be read line by line."""

    def where(self, name: str) -> str:
        """How to call a file in a message."""
        return f"{self.path}/{name}"

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Ends the reading."""


class FolderTree(Tree):
    """A folder and everything below it."""

    def names(self) -> list[str]:
        """All visible files, sorted."""
        found = []
        for folder, _, files in os.walk(self.path):
            relative = Path(folder).relative_to(self.path)
            found += [(relative / file).as_posix() for file in files]
        return _visible(found)

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return (self.path / name).read_bytes()

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as text."""
        return open(self.path / name, encoding="utf-8-sig", newline="")


class ZipTree(Tree):
    """A zip archive. Nothing is unpacked to disk, and names that point outside are refused."""

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{path} is cut short or damaged: a zip ends with a list of its files, and it is "
                f"not there ({error}; {path.stat().st_size:,} bytes found). Download it again."
            ) from None
        for name in self._archive.namelist():
            parts = PurePosixPath(name.replace("\\", "/"))
            if parts.is_absolute() or PureWindowsPath(name).drive or ".." in parts.parts:
                self.close()
                raise UserError(
                    f"{path} holds a file named {name!r}, which points outside the archive; no "
                    "copy of the data set has such a name. Download it from its own page."
                )

    def names(self) -> list[str]:
        """All visible files, sorted."""
        return _visible([name for name in self._archive.namelist() if not name.endswith("/")])

    def read(self, name: str) -> bytes:
        """The content of one file."""
        with self._open(name) as file:
            try:
                return file.read()
            except _DAMAGE as error:
                raise self.damaged(name, error) from None

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as text."""
        return io.TextIOWrapper(self._open(name), encoding="utf-8-sig", newline="")

    def where(self, name: str) -> str:
        """How to call a file in a message."""
        return f"{name} in {self.path}"

    def close(self) -> None:
        """Closes the archive."""
        self._archive.close()

    def damaged(self, name: str, error: Exception) -> UserError:
        """The error for a member whose bytes are not those that were packed."""
        return UserError(f"{self.where(name)} is damaged ({error}). Download the zip again.")

    def _open(self, name: str) -> zipfile.ZipExtFile:
        size = self._archive.getinfo(name).file_size
        if size > MAX_MEMBER_BYTES:
            raise UserError(
                f"{self.where(name)} would take {size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that any file of this data set can have."
            )
        try:
            return cast(zipfile.ZipExtFile, self._archive.open(name))
        except _DAMAGE as error:
            raise self.damaged(name, error) from None
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(f"{self.where(name)} cannot be unpacked: {error}.") from None


def _visible(names: list[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    )
