"""RAF-DB as it is on Kaggle: DATASET/train/<1 to 7>/*.jpg, DATASET/test/<1 to 7>/*.jpg.

The folders say everything. Where train_labels.csv or test_labels.csv (image,label) is there too, it
must say the same of every image.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import csv_files
from ferjax.data.prepare.readers.raf_db import items
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

COLUMNS = ("image", "label")

_IMAGE = re.compile(r"(?:.*/)?(train|test)/([^/]+)/([^/]+\.(?:jpe?g|png))", re.IGNORECASE)


class _Found(NamedTuple):
    """An image file and the label of its folder, from 0."""

    name: str
    label: int


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are in this layout."""
    return any(map(_IMAGE.fullmatch, names))


def read(tree: Tree, names: Sequence[str], on_item: Callable[[], None]) -> dict[str, list[Item]]:
    """The examples of each split, sorted by name; raises as `raf_db.read.read` does."""
    splits: dict[str, list[Item]] = {}
    for split in items.SPLITS:
        found = _images(tree, names, split)
        _check_csv(tree, names, split, found)
        splits[split] = []
        for one in found.values():
            splits[split].append(items.item(tree, one.name, one.label))
            on_item()
    return splits


def _images(tree: Tree, names: Sequence[str], split: str) -> dict[str, _Found]:
    """The images of a split by the names of their files."""
    matches = {name: match for name in names if (match := _IMAGE.fullmatch(name))}
    chosen = [name for name, match in matches.items() if match[1].lower() == split]
    by_file = items.by_key(tree, chosen, lambda name: matches[name][3])
    for file, name in by_file.items():
        other = next((one for one in items.SPLITS if file.lower().startswith(one)), split)
        if other != split:
            raise UserError(
                f"{tree.where(name)}: by its name it is a {other} image, and it lies under {split}."
            )
    return {
        file: _Found(name, items.label_of(matches[name][2], tree.where(name)))
        for file, name in by_file.items()
    }


def _check_csv(tree: Tree, names: Sequence[str], split: str, found: Mapping[str, _Found]) -> None:
    """Checks that the CSV file of a split, where there is one, agrees with the folders."""
    files = [name for name in names if name.split("/")[-1].lower() == f"{split}_labels.csv"]
    if not files:
        return
    name = items.only_file(tree, files, f"named {split}_labels.csv")
    rows: dict[str, tuple[int, str]] = {}
    with tree.open_text(name) as file:
        _, lines = csv_files.table(file, tree.where(name), "the labels of RAF-DB", COLUMNS)
        for _, at, (image, label) in lines:
            if image in rows:
                raise UserError(f"{at}: {image} has a row already.")
            rows[image] = items.label_of(label.strip(), at), at
    items.check_match(tree, name, rows, found)
    for file_name, (number, at) in rows.items():
        if number != found[file_name].label:
            raise UserError(
                f"{at}: {file_name} has the label {number + 1}, and the image lies in "
                f"{found[file_name].name}. One of the two was changed: download it again."
            )
