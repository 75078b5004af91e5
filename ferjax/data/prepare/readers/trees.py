"""A tree of files that are read by name: an unpacked folder, or a zip that is read in memory.

A tree may be read for as long as it lives. A zip stays open until then: it closes when the last
item that reads from it goes, and whoever is done earlier may call `close`.
"""

import io
import os
import stat
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NoReturn, cast

from ferjax.errors import UserError

# A FER2013 image has about 2 kB and its CSV files 300 MB: more is not what it claims to be.
MAX_MEMBER_BYTES = 1 << 30
# Images do not shrink in a zip and text shrinks to a third: more was packed to fill a disk. Small
# archives may: a few black images shrink a hundredfold and do no harm.
MAX_EXPANSION = 200
SMALL_BYTES = 16 << 20

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
_OF_THE_SYSTEM = ("__MACOSX", "Thumbs.db", "desktop.ini")


def opened(path: Path) -> "Tree":
    """The tree of a folder or of a zip file, which is told by its content.

    Raises:
      UserError: another kind of file, or a zip that is damaged or not what it should be.
    """
    if path.is_dir():
        return FolderTree(path)
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"PK":
        return ZipTree(path)
    refuse_gzip(path, magic)
    raise UserError(
        f"{path} is neither a folder nor a zip (it begins with {magic!r}): pass the folder that "
        "holds it, or a zip of that folder."
    )


def refuse_gzip(path: Path, magic: bytes) -> None:
    """Raises a UserError if a file begins like a .tar.gz; `magic` has its first bytes."""
    if magic[:2] == b"\x1f\x8b":
        raise UserError(
            f"{path} is a gzip archive: unpack it (tar -xzf {path.name}) and pass the folder."
        )


class Tree(ABC):
    """Named files that can be read one by one; names are relative, with forward slashes."""

    def __init__(self, path: Path):
        self.path = path

    @abstractmethod
    def names(self) -> list[str]:
        """All files, sorted, without hidden ones and those that macOS and Windows add."""

    @abstractmethod
    def folders(self) -> list[str]:
        """All folders, empty ones too, sorted, without hidden ones."""

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
    """A folder and everything below it.

    A link to a file below the folder is that file. Links to folders would hold files twice, or go
    round in a circle, and links that lead out would read what nobody asked for: both are refused.
    """

    def names(self) -> list[str]:
        """All visible files, sorted; raises a UserError for a link that is not followed."""
        files, folders = self._walk()
        root = self.path.resolve()
        for name in (*files, *folders):
            link = self.path / name
            if link.is_symlink():
                target = link.resolve()
                if not target.is_file() or not target.is_relative_to(root):
                    raise UserError(
                        f"{link} is a link to {target}; only links to files below {self.path} are "
                        "followed. Put a copy in its place (cp -rL copies what links point to)."
                    )
        return files

    def folders(self) -> list[str]:
        """All visible folders, sorted."""
        return self._walk()[1]

    def read(self, name: str) -> bytes:
        """The content of one file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise UserError(f"{self.where(name)} cannot be read ({error.strerror}).") from None

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as text."""
        return open(self.path / name, encoding="utf-8-sig", newline="")

    def _walk(self) -> tuple[list[str], list[str]]:
        """The visible files and the visible folders."""
        files, folders = [], []
        for folder, folders_here, files_here in os.walk(self.path, onerror=_raise):
            relative = Path(folder).relative_to(self.path)
            folders += [(relative / name).as_posix() for name in folders_here]
            files += [(relative / name).as_posix() for name in files_here]
        return _visible(files), _visible(folders)


class ZipTree(Tree):
    """A zip archive; nothing of it is unpacked to disk.

    Raises:
      UserError: it is damaged; or it has names that point outside or occur twice, links, or an
        absurd size once unpacked, and is refused before any file in it is read.
    """

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{path} is cut short or damaged: a zip ends with a list of its files, and it is "
                f"not there ({error}; {path.stat().st_size:,} bytes found). Download it again."
            ) from None
        try:
            self._check()
        except UserError:
            self.close()
            raise

    def names(self) -> list[str]:
        """All visible files, sorted."""
        return _visible([name for name in self._archive.namelist() if not name.endswith("/")])

    def folders(self) -> list[str]:
        """All visible folders, sorted: those that are listed and those that files lie in."""
        found = set()
        for name in self._archive.namelist():
            path = PurePosixPath(name)
            found |= {path, *path.parents} if name.endswith("/") else set(path.parents)
        return _visible(path.as_posix() for path in found if path.parts)

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

    def _check(self) -> None:
        members = self._archive.infolist()
        for member in members:
            name = member.filename
            parts = PurePosixPath(name.replace("\\", "/"))
            if parts.is_absolute() or PureWindowsPath(name).drive or ".." in parts.parts:
                raise UserError(
                    f"{self.path} holds a file named {name!r}, which points outside the archive; "
                    "no copy of the data set has such a name. Download it from its own page."
                )
            # The upper half holds the mode of the file, where Unix packed it.
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(
                    f"{self.where(name)} is a link; a zip must hold the files themselves. Pack it "
                    "again without links (zip follows them unless it is told --symlinks)."
                )
        for name, times in Counter(member.filename for member in members).most_common(1):
            if times > 1:
                raise UserError(
                    f"{self.path} holds {times} files named {name!r}, of which only one could be "
                    "read. Download it again, or pack it again."
                )
        # By the size of the archive, not of its members: the members of a zip bomb share bytes.
        packed = self.path.stat().st_size
        unpacked = sum(member.file_size for member in members)
        if unpacked > SMALL_BYTES and unpacked > MAX_EXPANSION * packed:
            raise UserError(
                f"{self.path} has {packed:,} bytes and would unpack to {unpacked:,}, "
                f"{unpacked // packed:,} times as many; no data set of images shrinks more than "
                f"{MAX_EXPANSION}-fold. Download it from its own page."
            )

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


def _visible(names: Iterable[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if not any(part.startswith(".") or part in _OF_THE_SYSTEM for part in name.split("/"))
    )


def _raise(error: OSError) -> NoReturn:
    """A folder that cannot be listed is no empty folder."""
    raise error
