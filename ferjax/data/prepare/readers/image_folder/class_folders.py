"""Which folders of a tree are splits, which are classes, and which images are in them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

from ferjax.data.labels import emotion_of
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.readers import image_files
from ferjax.data.prepare.readers.image_folder import class_names, split_folders
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest, one_line, some

LAYOUT = "<split>/<class>/<image> with the splits train, validation and test, or <class>/<image>"


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
    names, left_out = image_files.told_apart(tree, tree.names())
    images = [PurePosixPath(name) for name in names]
    folders = [PurePosixPath(name) for name in tree.folders()]
    root = _root(images, folders)
    inside = [folder for folder in folders if folder.parent == root]
    found_splits = split_folders.find(tree, inside)
    split_of = {folder: split for split, folder in (found_splits or {"whole": root}).items()}
    found: dict[str, dict[str, list[str]]] = {split: {} for split in split_of.values()}
    class_of: dict[PurePosixPath, list[str]] = {}
    for folder in folders:
        if folder.parent in split_of:
            class_of[folder] = _added(tree, folder, found[split_of[folder.parent]])
    strays = []
    for image in images:
        if image.parent in class_of and image.parent not in split_of:
            class_of[image.parent].append(image.as_posix())
        else:
            strays.append(image)
    if strays:
        _refuse_strays(tree, strays, inside, class_of)
    left_out += tree.notes()
    parents = {split: folder for folder, split in split_of.items()}
    notes = _check_classes(tree, found, parents, left_out)
    notes += class_names.notes(next(iter(found.values())))
    return Layout(tree, root, found, (*notes, *left_out))


def _root(images: Sequence[PurePosixPath], folders: Sequence[PurePosixPath]) -> PurePosixPath:
    """Goes down while there is one folder that is neither a split nor a class."""
    with_images = {image.parent for image in images}
    root = PurePosixPath()
    while True:
        inside = [folder for folder in folders if folder.parent == root]
        if (
            len(inside) != 1
            or split_folders.is_split(inside[0].name)
            or split_folders.meant(inside[0].name)
            or {root, inside[0]} & with_images
        ):
            return root
        root = inside[0]


def _added(tree: Tree, folder: PurePosixPath, classes: dict[str, list[str]]) -> list[str]:
    """Adds the class of a folder to those of its split; returns its images, which are to come."""
    where = _where(tree, folder)
    if tree.is_guessed(folder.as_posix()):
        raise UserError(
            f"{where}: the zip does not say how the name of this class is written; unpack it and "
            "pass the folder, or pack it again with names in UTF-8."
        )
    name = class_names.normal(folder.name)
    if not class_names.is_good(name):
        raise UserError(f"{where}: {name!r} cannot name a class; {class_names.WANTED}.")
    for other in classes:
        if other.casefold() == name.casefold():
            raise UserError(
                f"{_where(tree, folder.parent)} has the classes {other} and {name}, which differ "
                "in capitals or accents alone; put them together, or rename one."
            )
    return classes.setdefault(name, [])


def _refuse_strays(
    tree: Tree,
    strays: Sequence[PurePosixPath],
    inside: Sequence[PurePosixPath],
    classes: Collection[PurePosixPath],
) -> NoReturn:
    """Raises a UserError about images outside the class folders, which are `classes`."""
    above = {parent for stray in strays for parent in stray.parents}
    split_folders.check_names(tree, [folder for folder in inside if folder in above], inside)
    number = f"{len(strays):,} image{'s lie' if len(strays) > 1 else ' lies'}"
    named = some([stray.as_posix() for stray in strays])
    deeper = sorted({stray.parent for stray in strays if stray.parent.parent in classes})
    advice = "Move them into the folders of their classes, or out of the source."
    if deeper and all(split_folders.is_split(folder.name) for folder in deeper):
        advice = (
            "The splits lie in the classes here: put the classes into the splits, as "
            f"{one_line(deeper[0].name)}/{one_line(deeper[0].parent.name)}."
        )
    elif any(emotion_of(one.name) for one in deeper) and not any(
        emotion_of(one.parent.name) for one in deeper
    ):
        outer = sorted({one_line(one.parent.name) for one in deeper})
        example = f"{deeper[0].name}/{deeper[0].parent.name}_1.jpg"
        advice = (
            f"The outer folders ({some(outer)}) look like persons or sources, and those in them "
            f"({some({one.name for one in deeper})}) like classes: put the images of one class of "
            "all of them into one folder of that class, with file names that stay apart, as "
            f"{one_line(example)}."
        )
    elif deeper:
        advice = (
            "Images lie directly in the folder of their class: move those in "
            f"{some([folder.as_posix() for folder in deeper])} one folder up."
        )
    raise UserError(
        f"{tree.path}: {number} outside the class folders ({named}); expected {LAYOUT}. {advice}"
    )


def _check_classes(
    tree: Tree,
    found: Mapping[str, Mapping[str, Sequence[str]]],
    folders: Mapping[str, PurePosixPath],
    left_out: Sequence[str],
) -> list[str]:
    """Refuses what cannot be meant; returns notes on what is missing in validation and test.

    Args:
      tree: what they are in.
      found: split -> class -> names of its images.
      folders: the folder of each split.
      left_out: sentences on what was left out, which may be why images are missing.
    """
    notes = []
    first, *rest = found
    number = len(found[first])
    if number < 2:
        said = (
            f"{_where(tree, folders[first])} has {number} class folder{'' if number == 1 else 's'} "
            f"({', '.join(found[first]) or 'none'}), and telling classes apart takes two; "
            f"expected {LAYOUT}."
        )
        raise UserError(" ".join([said, *left_out]))
    faults = Faults()
    why_empty = " ".join(["Remove a folder without images, or put images into it.", *left_out])
    for name, images in found[first].items():
        if not images:
            where = _where(tree, folders[first] / name)
            said = f"{where} has no image in it: a class without examples cannot be learned."
            faults.add(where, Fault(said, why_empty))
    known = f"The classes of {folders[first].name} are: {', '.join(found[first])}."
    for split in rest:
        for name in found[split]:
            if name not in found[first]:
                where = _where(tree, folders[split] / name)
                said = f"{where} is a class that {folders[first].name} does not have."
                faults.add(where, Fault(f"{said}{nearest(name, found[first])}", known))
    faults.check(f"{sum(map(len, found.values())):,} class folders of {tree.path}")
    for split in rest:
        missing = [name for name in found[first] if not found[split].get(name)]
        if missing:
            notes.append(f"{split} has no image of {', '.join(missing)}.")
    return notes


def _where(tree: Tree, folder: PurePosixPath) -> str:
    return tree.where(folder.as_posix()) if folder.parts else str(tree.path)
