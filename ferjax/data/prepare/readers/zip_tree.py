"""A zip that is read in memory: nothing of it is unpacked, and what would do harm is refused."""

import io
import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from ferjax.data.folder_listing import hidden, visible
from ferjax.data.images import kinds
from ferjax.data.prepare.faults import Fault
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, one_line

# A FER2013 image has about 2 kB and its CSV files 300 MB: more is not what it claims to be.
MAX_MEMBER_BYTES = 1 << 30
# Images do not shrink in a zip and text shrinks to a third: more was packed to fill a disk. Small
# archives may: a few black images shrink a hundredfold and do no harm.
MAX_EXPANSION = 200
SMALL_BYTES = 16 << 20

# What a damaged member raises when it is read; bz2 has no error of its own.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
# What a damaged list of members raises.
_DAMAGED_LIST = (*DAMAGE, ValueError, LookupError, NotImplementedError, RuntimeError, struct.error)
# Characters and folders of the name of a member. A system has no longer paths.
MAX_NAME, MAX_DEPTH = 4096, 64
_ENCRYPTED, _IS_UTF8 = 0x1, 0x800  # bits of a member's flags


class ZipTree(Tree):
    """A zip archive, of which nothing is unpacked to disk.

    Raises:
      UserError: it is damaged; or it has names that point outside or occur twice, links, or
        absurd sizes once unpacked, and is refused before any file in it is read.
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
        except _DAMAGED_LIST as error:
            raise UserError(
                f"{path} is damaged: its list of files cannot be read ({error}). Download it again."
            ) from None
        # By their names without what changes nothing in them, as the second slash of a//b.
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: set[str] = set()
        self._guessed: set[str] = set()
        try:
            self._check()
        except UserError:
            self.close()
            raise

    def names(self) -> list[str]:
        """All visible files, sorted."""
        return visible(self._files())

    def hidden(self) -> list[str]:
        """The files that are left out."""
        return hidden(self._files())

    def folders(self) -> list[str]:
        """All visible folders, sorted: those that are listed and those that files lie in."""
        found = set()
        for name in self._members:
            path = PurePosixPath(name)
            found |= {path, *path.parents} if name in self._folders else set(path.parents)
        return visible(path.as_posix() for path in found if path.parts)

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return self._read(name, -1)

    def head(self, name: str) -> bytes:
        """The first bytes of one file; damage behind them is not seen."""
        return self._read(name, kinds.HEAD_BYTES)

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as text."""
        return io.TextIOWrapper(self._open(name), encoding="utf-8-sig", newline="")

    def where(self, name: str) -> str:
        """How to call a file in a message."""
        return one_line(f"{name} in {self.path}")

    def close(self) -> None:
        """Closes the archive."""
        self._archive.close()

    def damaged(self, name: str, error: Exception) -> UserError:
        """The error for a member whose bytes are not those that were packed."""
        return Fault(f"{self.where(name)} is damaged ({error}).", "Download the zip again.")

    def is_guessed(self, name: str) -> bool:
        """Whether the archive does not say how the name is written."""
        return not name.isascii() and name in self._guessed

    def _files(self) -> list[str]:
        return [name for name in self._members if name not in self._folders]

    def _check(self) -> None:
        members = self._archive.infolist()
        for member in members:
            name, is_sure = _name(member)
            # No folder can hold the first; the second would take long to look at.
            if len(name) > MAX_NAME or name.count("/") > MAX_DEPTH:
                raise UserError(
                    f"{self.path} holds a file whose name has {len(name):,} characters and "
                    f"{name.count('/'):,} folders ({name[:40]!r}...); a name may have {MAX_NAME:,} "
                    f"and {MAX_DEPTH}. Download it from its own page."
                )
            parts = PurePosixPath(name)
            drive = PureWindowsPath(member.filename).drive
            if parts.is_absolute() or drive or ".." in parts.parts:
                raise UserError(
                    f"{self.path} holds a file named {member.filename!r}, which points outside the "
                    "archive; no copy of the data set has such a name. Download it from its own "
                    "page."
                )
            # The upper half holds the mode of the file, where Unix packed it.
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(
                    f"{self.where(name)} is a link; a zip must hold the files themselves. Pack it "
                    "again without links (zip follows them unless it is told --symlinks)."
                )
            if member.flag_bits & _ENCRYPTED:
                raise UserError(
                    f"{self.where(name)} is encrypted; unpack {self.path} with its password and "
                    "pass the folder."
                )
            self._add(str(parts), member, is_folder=name.endswith("/"))
            if not is_sure:
                self._guessed |= {str(one) for one in (parts, *parts.parents)}
        # By the size of the archive, not of its members: those of a zip bomb share their bytes.
        packed = self.path.stat().st_size
        unpacked = sum(member.file_size for member in members)
        if unpacked > SMALL_BYTES and unpacked > MAX_EXPANSION * packed:
            raise UserError(
                f"{self.path} has {packed:,} bytes and would unpack to {unpacked:,}, "
                f"{unpacked // packed:,} times as many; no data set of images shrinks more than "
                f"{MAX_EXPANSION}-fold. Download it from its own page."
            )

    def _add(self, name: str, member: zipfile.ZipInfo, *, is_folder: bool) -> None:
        if name in self._members and not (is_folder and name in self._folders):
            raise UserError(
                f"{self.path} holds 2 files named {name!r}, of which only one could be read. "
                "Download it again, or pack it again."
            )
        if name == "." and not is_folder:
            raise UserError(f"{self.path} holds a file without a name. Pack it again.")
        self._members[name] = member
        if is_folder:
            self._folders.add(name)

    def _read(self, name: str, most: int) -> bytes:
        with self._open(name) as file:
            try:
                return file.read(most)
            except DAMAGE as error:
                raise self.damaged(name, error) from None

    def _open(self, name: str) -> zipfile.ZipExtFile:
        member = self._members[name]
        size = member.file_size
        if size > MAX_MEMBER_BYTES:
            raise UserError(
                f"{self.where(name)} would take {size:,} bytes, more than the "
                f"{MAX_MEMBER_BYTES:,} that any file of this data set can have."
            )
        try:
            return cast(zipfile.ZipExtFile, self._archive.open(member))
        except DAMAGE as error:
            raise self.damaged(name, error) from None
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(f"{self.where(name)} cannot be unpacked: {error}.") from None


def _name(member: zipfile.ZipInfo) -> tuple[str, bool]:
    r"""The name of a member, and whether it is known how it is written.

    Programs of Windows part folders by backslashes. A name that is not marked as UTF-8 is read as
    CP437, which any bytes are; if its bytes are UTF-8, somebody forgot the mark.
    """
    name, is_sure = member.filename, True
    if not member.flag_bits & _IS_UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            is_sure = False
    return name.replace("\\", "/"), is_sure
