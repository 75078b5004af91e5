"""A tree of files that are read by name: an unpacked folder, or a zip that is read in memory.

A tree may be read for as long as it lives. A zip stays open until then: it closes when the last
item that reads from it goes, and whoever is done earlier may call `close`.
"""

import io
import os
from pathlib import Path
from typing import NoReturn

from ferjax import local_files
from ferjax.data.prepare.readers.tree import Tree, hidden, visible
from ferjax.data.prepare.readers.zip_tree import ZipTree
from ferjax.errors import UserError


def opened(path: Path) -> "Tree":
    """The tree of a folder or of a zip file, which is told by its content.

    Raises:
      UserError: another kind of file, or a zip that is damaged or not what it should be.
    """
    if path.is_dir():
        return FolderTree(path)
    magic = first_bytes(path)
    if magic[:2] == b"PK":
        return ZipTree(path)
    refuse_gzip(path, magic)
    raise UserError(
        f"{path} is neither a folder nor a zip (it begins with {magic!r}): pass the folder that "
        "holds it, or a zip of that folder."
    )


def first_bytes(path: Path) -> bytes:
    """The first four bytes of a regular file, which tell its kind; raises an OSError for else."""
    with local_files.open_regular(path) as file:
        return file.read(4)


def refuse_gzip(path: Path, magic: bytes) -> None:
    """Raises a UserError if a file begins like a .tar.gz; `magic` has its first bytes."""
    if magic[:2] == b"\x1f\x8b":
        raise UserError(
            f"{path} is a gzip archive: unpack it (tar -xzf {path.name}) and pass the folder."
        )


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
                # As far as it leads: that of a loop is no file.
                target = Path(os.path.realpath(link))
                if not target.is_file() or not target.is_relative_to(root):
                    raise UserError(
                        f"{link} is a link to {target}; only links to files below {self.path} are "
                        "followed. Put a copy in its place (cp -rL copies what links point to)."
                    )
        return files

    def folders(self) -> list[str]:
        """All visible folders, sorted."""
        return self._walk()[1]

    def hidden(self) -> list[str]:
        """The files that are left out."""
        return hidden(self._all()[0])

    def read(self, name: str) -> bytes:
        """The content of one regular file."""
        with self._open(name) as file:
            return file.read()

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One regular file as text."""
        return io.TextIOWrapper(self._open(name), encoding="utf-8-sig", newline="")

    def _open(self, name: str) -> io.BufferedReader:
        try:
            return local_files.open_regular(self.path / name)
        except OSError as error:
            raise UserError(
                f"{self.where(name)} cannot be read ({local_files.problem(error)})."
            ) from None

    def _walk(self) -> tuple[list[str], list[str]]:
        """The visible files and the visible folders; names that are no text are refused."""
        files, folders = map(visible, self._all())
        for name in (*folders, *files):
            try:
                name.encode()
            except UnicodeEncodeError:
                raise UserError(
                    f"{self.where(name)}: the name is not UTF-8, so that it cannot be stored; "
                    "rename it."
                ) from None
        return files, folders

    def _all(self) -> tuple[list[str], list[str]]:
        """All files and folders."""
        files, folders = [], []
        for folder, folders_here, files_here in os.walk(self.path, onerror=_raise):
            relative = Path(folder).relative_to(self.path)
            folders += [(relative / name).as_posix() for name in folders_here]
            files += [(relative / name).as_posix() for name in files_here]
        return files, folders


def _raise(error: OSError) -> NoReturn:
    """A folder that cannot be listed is no empty folder."""
    raise error
