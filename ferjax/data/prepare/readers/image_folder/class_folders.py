"""Which folders of a tree are splits, which are classes, and which images are in them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ferjax.data.images.kinds import EXTENSIONS
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest, some

# Names of split folders, in any case, and the stored split that each one is.
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
LAYOUT = "<split>/<class>/<image> with the splits train, validation and test, or <class>/<image>"

_CLASS_NAME = re.compile(r"[A-Za-z0-9_-]+( +[A-Za-z0-9_-]+)*")


@dataclass(frozen=True)
class Layout:
    """The folders of a tree, by split and class.

    Attributes:
      tree: what it was found in.
      root: the folder, relative to the tree, that holds the splits or the classes.
      splits: stored split -> class -> names of its images in the tree; or "whole" alone.
      notes: what was left out, and which classes are missing in which split.
    """

    tree: Tree
    root: PurePosixPath
    splits: Mapping[str, Mapping[str, Sequence[str]]]
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the class folders, sorted."""
        return tuple(sorted(next(iter(self.splits.values()))))

    def images(self) -> list[str]:
        """All images, as the tree names them."""
        return [
            name for split in self.splits.values() for images in split.values() for name in images
        ]

    def where(self, class_name: str) -> str:
        """How to call the folder of a class in a message."""
        folder = PurePosixPath(self.splits[next(iter(self.splits))][class_name][0]).parent
        return self.tree.where(folder.as_posix())


def find(tree: Tree) -> Layout:
    """Finds the splits and classes of a tree.

    Raises:
      UserError: another layout; an image outside the class folders; fewer than two classes; a class
        without images, or one that train does not have.
    """
    files = [PurePosixPath(name) for name in tree.names()]
    folders = [PurePosixPath(name) for name in tree.folders()]
    root = _root(files, folders)
    split_folders = _split_folders(tree, [folder for folder in folders if folder.parent == root])
    split_of = {folder: split for split, folder in (split_folders or {"whole": root}).items()}
    found: dict[str, dict[str, list[str]]] = {split: {} for split in split_of.values()}
    for folder in folders:
        if folder.parent in split_of:
            found[split_of[folder.parent]][folder.name] = []
    strays, others = [], []
    for file in files:
        if file.suffix.lower() not in EXTENSIONS:
            others.append(file.as_posix())
        elif file.parent.parent in split_of and file.parent not in split_of:
            found[split_of[file.parent.parent]][file.parent.name].append(file.as_posix())
        else:
            strays.append(file.as_posix())
    if strays:
        raise UserError(
            f"{tree.path}: {len(strays):,} images lie outside the class folders "
            f"({some(strays)}); expected {LAYOUT}."
        )
    notes = _check_classes(tree, found, {split: folder for folder, split in split_of.items()})
    if others:
        notes.append(
            f"Left out, since their names are not those of images: {len(others):,} "
            f"({some(others)}); images end in {', '.join(EXTENSIONS)}."
        )
    return Layout(tree, root, found, (*notes, *tree.notes()))


def _root(files: Sequence[PurePosixPath], folders: Sequence[PurePosixPath]) -> PurePosixPath:
    """Goes down while there is one folder that is neither a split nor a class."""
    with_images = {file.parent for file in files if file.suffix.lower() in EXTENSIONS}
    root = PurePosixPath()
    while True:
        inside = [folder for folder in folders if folder.parent == root]
        if (
            len(inside) != 1
            or inside[0].name.lower() in SPLIT_FOLDERS
            or {root, inside[0]} & with_images
        ):
            return root
        root = inside[0]


def _split_folders(tree: Tree, folders: Sequence[PurePosixPath]) -> dict[str, PurePosixPath]:
    """The folder of each split, train first; empty where there is none."""
    found: dict[str, PurePosixPath] = {}
    for folder in folders:
        split = SPLIT_FOLDERS.get(folder.name.lower())
        if split in found:
            raise UserError(
                f"{tree.path}: the folders {found[split].name} and {folder.name} are both the "
                f"{split} split; put them together."
            )
        if split:
            found[split] = folder
    for split in ("train", "test"):
        if found and split not in found:
            there = ", ".join(folder.name for folder in found.values())
            raise UserError(
                f"{tree.path} has the folders {there} and none named {split}. Name both train and "
                "test (validation is taken from train where it is missing), or put the class "
                "folders at the top to have all of them drawn from the same images."
            )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _check_classes(
    tree: Tree,
    found: Mapping[str, Mapping[str, Sequence[str]]],
    folders: Mapping[str, PurePosixPath],
) -> list[str]:
    """Refuses what cannot be meant; returns notes on what is missing in validation and test."""
    notes = []
    first, *rest = found
    for split, classes in found.items():
        for name in classes:
            if not _CLASS_NAME.fullmatch(name):
                raise UserError(
                    f"{_where(tree, folders[split] / name)}: {name!r} cannot name a "
                    "class; use letters a to z, digits, _, - and single words between spaces."
                )
        spellings: dict[str, str] = {}
        for name in classes:
            other = spellings.setdefault(name.casefold(), name)
            if other != name:
                raise UserError(
                    f"{_where(tree, folders[split])} has the classes {other} and {name}, which "
                    "differ in capitals alone; put them together, or rename one."
                )
    for name, images in found[first].items():
        if not images:
            raise UserError(
                f"{_where(tree, folders[first] / name)} has no image in it: a class "
                "without examples cannot be learned. Remove the folder, or put images into it."
            )
    if len(found[first]) < 2:
        raise UserError(
            f"{_where(tree, folders[first])} has {len(found[first])} class folders "
            f"({', '.join(found[first]) or 'none'}), and telling classes apart takes two; "
            f"expected {LAYOUT}."
        )
    for split in rest:
        for name in found[split]:
            if name not in found[first]:
                raise UserError(
                    f"{_where(tree, folders[split] / name)} is a class that "
                    f"{folders[first].name} does not have.{nearest(name, found[first])} Its "
                    f"classes are: {', '.join(found[first])}."
                )
        missing = [name for name in found[first] if not found[split].get(name)]
        if missing:
            notes.append(f"{split} has no image of {', '.join(missing)}.")
    return notes


def _where(tree: Tree, folder: PurePosixPath) -> str:
    return tree.where(folder.as_posix()) if folder.parts else str(tree.path)
