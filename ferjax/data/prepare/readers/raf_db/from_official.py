"""RAF-DB as its authors give it: Image/aligned/train_00001_aligned.jpg and one list of labels.

A line of EmoLabel/list_patition_label.txt, `train_00001.jpg 5`, names the image without its suffix.
"""

import re
from collections.abc import Callable, Sequence

from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import text_files
from ferjax.data.prepare.readers.raf_db import items
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

LIST_NAME = "list_patition_label.txt"  # spelled so by its authors

_IMAGE = re.compile(r"((train|test)_\d+)(_aligned)?\.jpe?g", re.IGNORECASE | re.ASCII)
_ROW = re.compile(r"((train|test)_\d+)\.jpe?g\s+(\S+)\s*", re.IGNORECASE | re.ASCII)


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are in this layout, be it with parts missing."""
    return bool(lists(names)) or any(_is_aligned(name) or _is_packed(name) for name in names)


def lists(names: Sequence[str]) -> list[str]:
    """The files that have the name of the list of labels."""
    return [name for name in names if name.split("/")[-1].lower() == LIST_NAME]


def read(tree: Tree, names: Sequence[str], on_item: Callable[[], None]) -> dict[str, list[Item]]:
    """The examples of each split, in the order of the list; raises as `raf_db.read.read` does."""
    found = lists(names)
    if not found:
        raise UserError(
            f"{tree.path} has images of RAF-DB and not their labels: expected a file {LIST_NAME}, "
            "which comes in the folder EmoLabel beside Image."
        )
    list_name = items.only_file(tree, found, f"named {LIST_NAME}")
    rows = _rows(tree, list_name)
    images = _images(tree, names)
    items.check_match(tree, list_name, rows, images)
    splits: dict[str, list[Item]] = {split: [] for split in items.SPLITS}
    for key, label in rows.items():
        splits[key.split("_")[0]].append(items.item(tree, images[key], label))
        on_item()
    return splits


def _is_aligned(name: str) -> bool:
    """Whether a file is an aligned image: its suffix says so, or else its folder."""
    *folders, file = name.split("/")
    match = _IMAGE.fullmatch(file)
    return match is not None and (
        match[3] is not None or (bool(folders) and folders[-1].lower() == "aligned")
    )


def _is_packed(name: str) -> bool:
    return name.split("/")[-1].lower() == "aligned.zip"


def _rows(tree: Tree, name: str) -> dict[str, int]:
    """The label of each image of the list."""
    labels: dict[str, int] = {}
    numbers: dict[str, int] = {}
    faults = Faults()
    lines = text_files.lines(tree, name)
    for number, line in lines:
        at = f"{tree.where(name)}, line {number}"
        with faults.caught(number):
            match = _ROW.fullmatch(line.strip())
            if match is None:
                raise UserError(
                    f"{at}: expected a line like 'train_00001.jpg 5', found {line.strip()[:60]!r}."
                )
            key = match[1].lower()
            if key in labels:
                raise Fault(
                    f"{at}: {key}.jpg has a label in line {numbers[key]} already.",
                    "The list was changed: take it from the archive of the authors again.",
                )
            labels[key], numbers[key] = items.label_of(match[3], at), number
    faults.check(f"{len(lines):,} lines of {tree.where(name)}")
    return labels


def _images(tree: Tree, names: Sequence[str]) -> dict[str, str]:
    """The file of each aligned image."""
    aligned = [name for name in names if _is_aligned(name)]
    if not aligned:
        packed = [name for name in names if _is_packed(name)]
        if packed:
            raise UserError(
                f"{tree.where(packed[0])} is still packed: unpack it where it lies, so that there "
                "is a folder aligned of images, and pass the folder."
            )
        originals = sum(_IMAGE.fullmatch(name.split("/")[-1]) is not None for name in names)
        raise UserError(
            f"{tree.path} has no aligned image ({originals:,} original ones found): ferjax trains "
            "on the aligned images, Image/aligned/train_00001_aligned.jpg and so on. Unpack "
            "aligned.zip, which comes in the folder Image."
        )
    return items.by_key(tree, aligned, _key)


def _key(name: str) -> str:
    match = _IMAGE.fullmatch(name.split("/")[-1])
    assert match is not None, "only aligned images are asked about"
    return match[1].lower()
