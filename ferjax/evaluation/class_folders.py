"""A user's own labelled images: a folder that has one folder of images for each class."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferjax import filesystem, refusals
from ferjax.data import folder_listing, label_maps
from ferjax.data.images import files
from ferjax.data.prepare.readers.image_folder import split_folders
from ferjax.errors import UserError, one_line, some

# The split that is best scored first.
_BEST = ("test", "validation", "train")
LAYOUT = "<class>/<image>, one folder for each class"


@dataclass(frozen=True)
class ClassFolders:
    """The images of class folders.

    Attributes:
      where: the folder that holds them.
      images: class -> its image files, sorted; classes without an image are left out.
      empty: the class folders without an image.
    """

    where: Path
    images: dict[str, list[Path]]
    empty: tuple[str, ...]

    def __len__(self) -> int:
        """How many images there are."""
        return sum(map(len, self.images.values()))

    @property
    def counts(self) -> dict[str, int]:
        """How many images each class has, 0 for an empty folder."""
        return {
            name: len(self.images.get(name, ())) for name in sorted((*self.images, *self.empty))
        }

    def notes(self) -> list[str]:
        """A sentence for each class folder without an image."""
        return [f"The class folder {one_line(name)} has no image." for name in self.empty]


def find(
    folder: str, target: Sequence[str], on_left_out: Callable[[str], None] = lambda _: None
) -> ClassFolders:
    """The classes of a folder and their images, also those in folders below a class folder.

    Args:
      folder: the folder.
      target: the class names of the model.
      on_left_out: called with a sentence on each kind of what is left out (see `files.find`).

    Raises:
      UserError: no folder, one that holds splits or class folders further down, an image outside
        of the class folders or in one within another, or no image at all.
    """
    if not folder:
        raise UserError(f"--images is empty; expected a folder of {LAYOUT}.")
    where = filesystem.local(folder, "--images")
    names = _folders(where)
    _check_level(where, names, target)
    images: dict[str, list[Path]] = {}
    strays = []
    nested: dict[tuple[str, str], list[str]] = {}
    for file in files.find([where], on_left_out):
        inside = file.relative_to(where).parts
        if len(inside) == 1:
            strays.append(inside[0])
        else:
            images.setdefault(inside[0], []).append(file)
            for name in inside[1:-1]:
                if label_maps.are_two_classes(inside[0], name, target):
                    nested.setdefault((inside[0], name), []).append(str(Path(*inside)))
                    break
    if strays:
        raise UserError(_unlabelled(where, strays))
    if nested:
        raise UserError(_in_two_classes(where, *next(iter(nested.items()))))
    return ClassFolders(where, images, tuple(name for name in names if name not in images))


def _folders(where: Path) -> list[str]:
    """The names of the folders in a folder, without hidden ones and links."""
    try:
        with os.scandir(where) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        raise UserError(f"--images is {where}, and there is no such folder.") from None
    except NotADirectoryError:
        raise UserError(
            f"--images is {where}, which is no folder; expected a folder of {LAYOUT}. Unpack an "
            "archive first; python -m ferjax.predict takes single images."
        ) from None
    except OSError as error:
        raise UserError(
            f"--images is {where}, which cannot be read ({refusals.problem(error)})."
        ) from None
    return folder_listing.visible(names)


def _check_level(where: Path, names: Sequence[str], target: Sequence[str]) -> None:
    """Refuses a folder whose folders are no classes, but hold class folders."""
    outer = [name for name in names if not label_maps.is_known(name, target)]
    splits = [name for name in outer if split_folders.split_of(name)]
    if splits:
        best = min(splits, key=lambda name: _BEST.index(split_folders.split_of(name)))
        *others, last = map(one_line, sorted(splits))
        listed = f"{', '.join(others)} and {last}" if others else last
        what, name_it = (
            (f"the folder {listed}, which is a split, not a class", "name it")
            if len(splits) == 1
            else (f"the folders {listed}, which are splits, not classes", "name one of them")
        )
        raise UserError(f"{one_line(where)} has {what}: {name_it}, as in {_flag(where / best)}")
    for name in outer:
        try:
            inner = [one for one in _folders(where / name) if label_maps.is_known(one, target)]
        except UserError:  # it cannot be read, which is told where its images are looked for
            continue
        if inner:
            raise UserError(
                f"{one_line(where / name)} is the name of no class, and holds folders that are "
                f"({some(inner)}). Name the folder that holds the class folders: "
                f"{_flag(where / name)}"
            )


def _unlabelled(where: Path, strays: Sequence[str]) -> str:
    number = f"{len(strays):,} image{'s' if len(strays) > 1 else ''}"
    return (
        f"{one_line(where)} has {number} outside of class folders ({some(strays)}), whose class is "
        f"not known; expected {LAYOUT}. Put them into the folders of their classes, or elsewhere. "
        "Images without labels are named, not scored, by python -m ferjax.predict --workdir=DIR "
        f"{shlex.quote(str(where))}"
    )


def _in_two_classes(where: Path, classes: tuple[str, str], found: Sequence[str]) -> str:
    outer, inner = map(one_line, classes)
    return (
        f"{one_line(where)} has {len(found):,} image{'s' if len(found) > 1 else ''} in a folder "
        f"{inner} within the class folder {outer} ({some(found)}): it is not known whether these "
        f"are {outer} or {inner}. Move each into the folder of its class, or rename the inner "
        "folder."
    )


def _flag(folder: Path) -> str:
    return f"--images={shlex.quote(str(folder))}"
