"""Which folders are splits, by their names, and what to rename where they have other names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, one_line

# Names of split folders, in any case, and the stored split that each one is.
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
_KNOWN = f"Folders of splits are called {', '.join(SPLIT_FOLDERS)}, in small or capital letters"
# What others call them, without what is no letter and without words such as set.
_MEANT = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "dev": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
_WORDS = re.compile(r"(set|data|images|imgs|faces|split|folder)$")


def is_split(name: str) -> bool:
    """Whether a folder of this name is a split."""
    return name.lower() in SPLIT_FOLDERS


def meant(name: str) -> str:
    """The split that a folder of another name may be meant as; "" for none and for known names."""
    if is_split(name):
        return ""
    word = re.sub(r"[^a-z]", "", name.lower())
    return _MEANT.get(word) or _MEANT.get(_WORDS.sub("", word), "")


def find(tree: Tree, folders: Sequence[PurePosixPath]) -> dict[str, PurePosixPath]:
    """The folder of each split among folders, train first; empty where there is none.

    Raises:
      UserError: two folders are one split, train or test is missing, or the name of a folder is
        another name of a split.
    """
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
            there = ", ".join(one_line(folder.name) for folder in found.values())
            raise UserError(
                f"{tree.path} has the folders {there} and none named {split}. "
                f"{_advice(tree, found, folders)}"
            )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def check_names(tree: Tree, folders: Sequence[PurePosixPath]) -> None:
    """Raises a UserError if folders, which hold class folders, have other names of splits."""
    others = {folder: split for folder in folders if (split := meant(folder.name))}
    if others:
        names = ", ".join(one_line(folder.name) for folder in others)
        raise UserError(
            f"{tree.path} has folders of other names ({names}). {_rename(tree, others)}"
        )


def _advice(
    tree: Tree, found: Mapping[str, PurePosixPath], folders: Sequence[PurePosixPath]
) -> str:
    """What to do about a split that is missing, in sentences."""
    others = {
        folder: split for folder in folders if (split := meant(folder.name)) and split not in found
    }
    if others:
        return _rename(tree, others)
    if "train" not in found:
        (first, *_) = found.values()
        return (
            "To score a trained model on them takes no preparation: python -m ferjax.evaluate "
            f"--workdir=DIR --images={_place(tree, first)}. To train takes both train and test."
        )
    if "validation" in found:
        return (
            "If its images are those that test, call it test; images that select are then taken "
            f"from train:\n  {_move(tree, found['validation'], 'test')}"
        )
    return (
        "Put images that test beside it, or pass the folder itself to have images that select and "
        f"test drawn from it: --source={_place(tree, found['train'])}"
    )


def _rename(tree: Tree, others: Mapping[PurePosixPath, str]) -> str:
    moves = "".join(f"\n  {_move(tree, folder, split)}" for folder, split in others.items())
    return f"{_KNOWN}. If these are meant, rename them, for example:{moves}"


def _move(tree: Tree, folder: PurePosixPath, split: str) -> str:
    return f"mv {_place(tree, folder)} {_place(tree, folder.with_name(split))}"


def _place(tree: Tree, folder: PurePosixPath) -> str:
    """Where a folder is, for a command; that of a zip has to be unpacked first."""
    root = str(tree.path) if tree.path.is_dir() else "UNPACKED"
    return shlex.quote(one_line(f"{root}/{folder}"))
