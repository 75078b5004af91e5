"""Writes the pictures of photographs whose faces are marked: a file for each photograph."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ferjax import filesystem, local_files, refusals
from ferjax.errors import UserError, one_line
from ferjax.inference.faces import annotated
from ferjax.inference.faces.seen import Seen

_QUALITY = 92
_MOST_CHARACTERS = 100  # of a name


class MarkedPictures:
    """A folder of pictures.

    Args:
      folder: made if it is not there. A picture of an earlier command is replaced.
      inputs: files that no picture may replace.

    Raises:
      UserError: it is no folder, or cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]):
        self._folder = filesystem.local(folder, "--output")
        self._inputs = {os.path.realpath(one) for one in inputs}
        self._names: set[str] = set()
        try:
            local_files.make_folder(self._folder)
        except OSError as error:
            raise self._refused(self._folder, error) from None

    def add(self, one: Seen, labels: Sequence[str]) -> None:
        """Writes the picture of a photograph, if it has a face.

        Raises:
          UserError: it cannot be written, or would replace a file that is looked at.
        """
        if one.photo is None or not one.faces:
            return
        path = self._path(one.name)
        if os.path.realpath(path) in self._inputs:
            raise UserError(
                f"--output would replace {one_line(path)}, which is one of the images; name "
                "another folder."
            )
        file = io.BytesIO()
        annotated.picture(one.photo, one.faces, labels).save(file, "JPEG", quality=_QUALITY)
        try:
            local_files.write(path, file.getvalue())
        except OSError as error:
            raise self._refused(path, error) from None

    def sentence(self) -> str:
        """What was written, for the user."""
        files = "picture is" if len(self._names) == 1 else "pictures are"
        where = one_line(self._folder)
        return f"{len(self._names):,} {files} in {where}: one of each photograph that has a face."

    def _path(self, name: str) -> Path:
        """photo.jpg for photo.png; of several of one name the second is photo-2.jpg."""
        stem = os.fsdecode(os.fsencode(Path(name).stem)[:_MOST_CHARACTERS])
        stem = "".join(letter if letter.isprintable() else "_" for letter in stem) or "photo"
        names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
        name = next(name for name in names if name.casefold() not in self._names)
        self._names.add(name.casefold())  # some file systems take A and a for one name
        return self._folder / f"{name}.jpg"

    def _refused(self, path: Path, error: OSError) -> UserError:
        return UserError(
            f"{one_line(path)} cannot be written ({refusals.problem(error)}); name another folder "
            "by --output, or make room there."
        )
