"""A tree of files that are read by name: an unpacked folder, or a zip that is read in memory.

A tree may be read for as long as it lives. A zip stays open until then: it closes when the last
item that reads from it goes, and whoever is done earlier may call `close`.
"""

import io
import os
from pathlib import Path
from typing import NoReturn

from ferjax import local_files, refusals
from ferjax.data.folder_listing import below, hidden, visible
from ferjax.data.images import kinds
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.readers import archives, other_files
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.prepare.readers.zip_tree import ZipTree
from ferjax.errors import UserError


def opened(path: Path) -> "Tree":
    """The tree of a folder or of a zip file, which is told by its content.

    Raises:
      UserError: another kind of file, a zip that is damaged or not what it should be, or a source
        that holds archives alone.
    """
    tree = _opened(path)
    try:
        archives.refuse_packed(path, tree.names())
    except BaseException:
        tree.close()
        raise
    return tree


def _opened(path: Path) -> "Tree":
    if path.is_dir():
        return FolderTree(path)
    if is_zip(path):
        return ZipTree(path)
    first = _first_bytes(path)
    advice = "Pass the folder that holds it, or a zip of that folder."
    raise UserError(
        f"{path} is neither a folder nor a zip: it is {kinds.of(first).name} (it begins with "
        f"{first[:4]!r}). {other_files.advice(first) or advice}"
    )


def is_zip(path: Path) -> bool:
    """Whether a regular file is a zip, by its first bytes.

    Raises:
      OSError: it cannot be read, or is no regular file.
      UserError: it is an archive of another kind; the message says how it is unpacked.
    """
    first = _first_bytes(path)
    archives.refuse(path, first)
    return first.startswith(b"PK")


def _first_bytes(path: Path) -> bytes:
    with local_files.open_regular(path) as file:
        return file.read(kinds.HEAD_BYTES)


class FolderTree(Tree):
    """A folder and everything below it.

    A link to a file below the folder is that file. Links to folders would hold files twice, or go
    round in a circle, and links that lead out would read what nobody asked for: both are refused.
    """

    def names(self) -> list[str]:
        """All visible files, sorted.

        Raises:
          UserError: there are links that are not followed, or names that are no text. All of them
            are counted, and the first are named.
        """
        files, folders = self._walk()
        faults, root = Faults(), self.path.resolve()
        for name in (*files, *folders):
            with faults.caught(name):
                self._check(name, root)
        faults.check(f"{len(files) + len(folders):,} files and folders of {self.path}")
        return files

    def folders(self) -> list[str]:
        """All visible folders, sorted."""
        return self._walk()[1]

    def hidden(self) -> list[str]:
        """The files that are left out."""
        return hidden(below(self.path, _raise)[0])

    def read(self, name: str) -> bytes:
        """The content of one regular file."""
        with self._open(name) as file:
            return file.read()

    def head(self, name: str) -> bytes:
        """The first bytes of one regular file."""
        with self._open(name) as file:
            return file.read(kinds.HEAD_BYTES)

    def open_text(self, name: str) -> io.TextIOWrapper:
        """One regular file as text."""
        return io.TextIOWrapper(self._open(name), encoding="utf-8-sig", newline="")

    def _open(self, name: str) -> io.BufferedReader:
        try:
            return local_files.open_regular(self.path / name)
        except OSError as error:
            raise UserError(
                f"{self.where(name)} cannot be read ({refusals.problem(error)})."
            ) from None

    def _walk(self) -> tuple[list[str], list[str]]:
        """The visible files and the visible folders."""
        files, folders = map(visible, below(self.path, _raise))
        return files, folders

    def _check(self, name: str, root: Path) -> None:
        """Raises a UserError about a file or folder below `root` that is not taken."""
        try:
            # That of a folder is told once, and not again with each file in it.
            name.split("/")[-1].encode()
        except UnicodeEncodeError:
            raise Fault(
                f"{self.where(name)}: the name is not UTF-8, so that it cannot be stored; rename "
                "it."
            ) from None
        link = self.path / name
        if not link.is_symlink():
            return
        # As far as it leads: that of a loop is no file.
        target = Path(os.path.realpath(link))
        if not target.is_file() or not target.is_relative_to(root):
            raise Fault(
                f"{link} is a link to {target}; only links to files below {self.path} are "
                "followed.",
                "Put a copy in its place (cp -rL copies what links point to), or remove a link "
                "that leads nowhere.",
            )


def _raise(error: OSError) -> NoReturn:
    """A folder that cannot be listed is no empty folder."""
    raise error
