"""RAF-DB as it is on Kaggle: DATASET/train/<1 to 7>/*.jpg, DATASET/test/<1 to 7>/*.jpg.

The folders say everything. Where train_labels.csv or test_labels.csv (image,label) is there too, it
must say the same of every image. Copies also name the classes, and call a split valid.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ferjax.data import catalog
from ferjax.data.labels import RAF_DB, emotion_of
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import csv_files, other_files
from ferjax.data.prepare.readers.raf_db import items
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

COLUMNS = ("image", "label")

_TITLE = "the labels of RAF-DB"
_IMAGE = re.compile(
    r"((?:.*/)?(train|test|val|valid|validation)/([^/]+))/([^/]+\.(?:jpe?g|png))", re.IGNORECASE
)
_LABELS = {emotion_of(name): label for label, name in enumerate(RAF_DB.names)}


class _Found(NamedTuple):
    """An image file, the word for its split, the path of its class folder, and its own name."""

    name: str
    word: str
    folder: str
    file: str


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are in this layout."""
    return any(map(_IMAGE.fullmatch, names))


def read(
    tree: Tree, names: Sequence[str], on_item: Callable[[], None]
) -> tuple[dict[str, list[Item]], tuple[str, ...]]:
    """The examples of each split, sorted by name, and notes; raises as `raf_db.read.read` does."""
    matches = filter(None, map(_IMAGE.fullmatch, names))
    images = [_Found(match[0], match[2].lower(), match[1], match[4]) for match in matches]
    labels = _labels(tree, images)
    split_of, notes = _splits(tree, images)
    splits: dict[str, list[Item]] = {split: [] for split in items.SPLITS}
    for word, split in split_of.items():
        by_name = {one.name: one for one in images if one.word == word}
        by_file = items.by_key(tree, by_name, lambda name: name.split("/")[-1])
        for file, name in by_file.items():
            if _by_name(file) not in (split, ""):
                raise UserError(
                    f"{tree.where(name)}: by its name it is a {_by_name(file)} image, and it lies "
                    f"under {word}."
                )
        found = {file: by_name[name] for file, name in by_file.items()}
        _check_csv(tree, names, word, found, labels)
        for one in found.values():
            splits[split].append(items.item(tree, one.name, labels[one.folder]))
            on_item()
    return splits, notes


def _by_name(file: str) -> str:
    """The split that the name of an image tells, or ""."""
    return next((split for split in items.SPLITS if file.lower().startswith(split)), "")


def _splits(tree: Tree, images: Sequence[_Found]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The split that each folder of splits holds, by its word, and a note on what was not plain."""
    words = dict.fromkeys([*items.SPLITS, *(one.word for one in images)])
    found, notes = {}, []
    for word in words:
        told = {_by_name(one.file) for one in images if one.word == word}
        if word in items.SPLITS:
            found[word] = word
            continue
        if len(told) > 1:
            raise UserError(
                f"{tree.path}: the folder {word} holds images of train and of test, by their "
                "names, and RAF-DB has no other splits; move each to its own folder."
            )
        (split,) = told
        why = "by the names of its images"
        if not split:
            # Whether this is right the numbers of images of a whole copy tell afterwards.
            has_test = any(one.word == "test" for one in images)
            split = "train" if has_test else "test"
            why = f"since there is {'a' if has_test else 'no'} folder test"
        found[word] = split
        notes.append(f"The folder {word} is read as the {split} split of RAF-DB, {why}.")
    return found, tuple(notes)


def _labels(tree: Tree, images: Sequence[_Found]) -> dict[str, int]:
    """The label of each class folder, by its path."""
    numbers = Counter(one.folder for one in images)
    of_train = {one.folder: one.folder.split("/")[-1] for one in images if one.word == "train"}
    if "0" in {folder.split("/")[-1] for folder in numbers}:
        there = ", ".join(
            f"{name} has {numbers[folder]:,}"
            for folder, name in sorted(of_train.items(), key=lambda one: one[1])
        )
        whole = catalog.RAF_DB.expected_counts or {}
        assert isinstance(whole["train"], tuple)
        wanted = ", ".join(
            f"{number} {name} {count:,}"
            for number, (name, count) in enumerate(
                zip(RAF_DB.names, whole["train"], strict=True), start=1
            )
        )
        raise UserError(
            f"{tree.path}: the class folders are numbered from 0, and those of RAF-DB from 1, so "
            "that what a number means in this copy is not known. A whole copy has, in train: "
            f"{wanted}. In this one, {there or 'there is no train'}. Where the numbers agree, name "
            "the folders by their emotions (surprise, fear, ...)."
        )
    labels, faults = {}, Faults()
    for folder in numbers:
        name = folder.split("/")[-1]
        with faults.caught(folder):
            known = _LABELS.get(emotion_of(name))
            labels[folder] = items.label_of(name, tree.where(folder)) if known is None else known
    faults.check(f"{len(numbers):,} class folders of {tree.path}")
    return labels


def _check_csv(
    tree: Tree,
    names: Sequence[str],
    word: str,
    found: Mapping[str, _Found],
    labels: Mapping[str, int],
) -> None:
    """Checks that the CSV file of a split, where there is one, agrees with the folders."""
    files = [name for name in names if name.split("/")[-1].lower() == f"{word}_labels.csv"]
    if not files:
        return
    name = items.only_file(tree, files, f"named {word}_labels.csv")
    rows: dict[str, tuple[int, str]] = {}

    def parse(line: csv_files.Line) -> bool:
        image, label = line.cells
        if image in rows:
            raise UserError(f"{line.at}: {image} has a row already.")
        rows[image] = items.label_of(label.strip(), line.at), line.at
        return True

    other_files.check_table(tree, name, _TITLE)
    with tree.open_text(name) as file:
        all(csv_files.table(file, tree.where(name), _TITLE, COLUMNS).rows(parse))
    items.check_match(tree, name, rows, found)
    faults = Faults()
    for file_name, (number, at) in rows.items():
        if number != labels[found[file_name].folder]:
            fault = Fault(
                f"{at}: {file_name} has the label {number + 1}, and the image lies in "
                f"{found[file_name].name}.",
                "The table or the folders were changed: use those of one copy.",
            )
            faults.add(found[file_name].name, fault)
    faults.check(f"{len(rows):,} rows of {tree.where(name)}")
