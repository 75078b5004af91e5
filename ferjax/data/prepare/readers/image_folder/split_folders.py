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
    # What FER2013 calls its splits.
    "publictest": "validation",
    "privatetest": "test",
    "fertrain": "train",
    "fervalid": "validation",
    "fertest": "test",
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


def split_of(name: str) -> str:
    """The split that a folder is, or may be meant as; "" for none."""
    return SPLIT_FOLDERS.get(name.lower()) or meant(name)


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
                f"{_advice(tree, found, _others(folders))}"
            )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def check_names(
    tree: Tree, folders: Sequence[PurePosixPath], beside: Sequence[PurePosixPath]
) -> None:
    """Raises a UserError if folders have other names of splits.

    Args:
      tree: what they are in.
      folders: those that hold class folders, and are not read as splits.
      beside: these folders and all others beside them.
    """
    others = _others(folders)
    if others:
        names = ", ".join(one_line(folder.name) for folder in others)
        found = {SPLIT_FOLDERS[one.name.lower()]: one for one in beside if is_split(one.name)}
        raise UserError(
            f"{tree.path} has folders of other names ({names}). {_advice(tree, found, others)}"
        )


def _others(folders: Sequence[PurePosixPath]) -> dict[PurePosixPath, str]:
    """The folders that have another name of a split, and the split that each may be meant as."""
    return {folder: split for folder in folders if (split := meant(folder.name))}


def _advice(
    tree: Tree, found: Mapping[str, PurePosixPath], others: Mapping[PurePosixPath, str]
) -> str:
    """What to do about splits that are missing or have other names, in sentences.

    Args:
      tree: what the folders are in.
      found: the folder of each split that has a known name.
      others: the folders of other names, and the split that each may be meant as.
    """
    of_split = {split: [folder] for split, folder in found.items()}
    for folder, split in others.items():
        of_split.setdefault(split, []).append(folder)
    sentences, moves = [], {}
    for split, folders in of_split.items():
        if len(folders) > 1:
            names = " and ".join(one_line(folder.name) for folder in folders)
            number = "both" if len(folders) == 2 else "all"
            sentences.append(
                f"{names} are {number} the {split} split: put them together in one folder named "
                f"{split}."
            )
        elif folders[0] in others:
            moves[folders[0]] = split
    commands = []
    if "train" not in of_split:
        if not moves:
            sentences.append(_to_score(tree, next(iter(of_split.values()))[0]))
    elif "test" not in of_split:
        held_out = of_split.get("validation", [])
        if held_out:
            moves.pop(held_out[-1], None)
            commands.append(_as_test(tree, held_out))
        else:
            commands.append(_without_test(tree, of_split["train"]))
    if moves:
        commands.insert(0, _rename(tree, moves))
    return "\n".join(filter(None, [" ".join([*sentences, *commands[:1]]), *commands[1:]]))


def _to_score(tree: Tree, folder: PurePosixPath) -> str:
    return (
        "To score a trained model on them takes no preparation: python -m ferjax.evaluate "
        f"--workdir=DIR --images={_place(tree, folder)}. To train takes both train and test."
    )


def _as_test(tree: Tree, held_out: Sequence[PurePosixPath]) -> str:
    """What to do where no folder is the test split, and these may be the validation split."""
    move = _move(tree, held_out[-1], "test")
    if len(held_out) > 1:
        return f"If {one_line(held_out[-1].name)} is the test split, rename it instead:\n  {move}"
    return (
        f"If {one_line(held_out[0].name)} is the test split, rename it; validation images are then "
        f"taken from train:\n  {move}"
    )


def _without_test(tree: Tree, train: Sequence[PurePosixPath]) -> str:
    """What to do where there is nothing but the training split."""
    beside = "Put the test images into a folder named test beside it"
    if len(train) > 1:
        return f"{beside}."
    return (
        f"{beside}, or pass the folder itself to have validation and test images drawn from it: "
        f"--source={_place(tree, train[0])}"
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
