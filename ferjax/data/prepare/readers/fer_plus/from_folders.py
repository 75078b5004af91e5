"""FER+ as the scripts of its authors unpack it: a folder of PNG files and label.csv for each split.

A row of label.csv is `fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0`: name, box of the face
and the ten votes. There is no header, and the newer of the scripts write no box.
"""

import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence

from ferjax.data.prepare.faults import Faults
from ferjax.data.prepare.readers import csv_files, image_files, numbers, other_files
from ferjax.data.prepare.readers.fer2013.from_images import IMAGE_SIZE, grey_image
from ferjax.data.prepare.readers.fer_plus.ballots import Ballot, image_name, votes_of
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.splits import votes
from ferjax.errors import UserError, some

FOLDERS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}
LABELS = "label.csv"

_FILE = re.compile(rf"(?:.*/)?({'|'.join(FOLDERS)})/[^/]+")
_BOX = (0, 0, IMAGE_SIZE, IMAGE_SIZE)


def files(names: Sequence[str]) -> dict[str, list[str]]:
    """For each of the folders FER2013Train, ... at any depth, its path and the files in it."""
    found: dict[str, list[str]] = {}
    for name in names:
        if _FILE.fullmatch(name):
            folder, _, file = name.rpartition("/")
            found.setdefault(folder, []).append(file)
    return found


def read(
    tree: Tree, names: Sequence[str], on_item: Callable[[], None]
) -> tuple[dict[str, list[Ballot]], tuple[str, ...]]:
    """Reads the three folders among `names`.

    Args:
      tree: what they are in.
      names: the names of its files.
      on_item: called after each image.

    Returns:
      The ballots of each split, and a note on what was left out.

    Raises:
      UserError: a folder is missing or there twice, images and rows of label.csv do not match, or
        one of them is not as it should be.
    """
    by_folder = files(names)
    folders: dict[str, str] = {}
    for folder in FOLDERS:
        paths = [path for path in by_folder if path.split("/")[-1] == folder]
        if len(paths) != 1:
            raise UserError(
                f"{tree.path} must hold the folders {', '.join(FOLDERS)} once each; {folder} is "
                + (f"there {len(paths)} times ({', '.join(paths)})." if paths else "not there.")
            )
        folders[folder] = paths[0]
        if LABELS not in by_folder[paths[0]]:
            raise UserError(f"{tree.where(paths[0])} has no {LABELS}, the file with the votes.")
    faults = Faults()
    rows = {path: _rows(tree, f"{path}/{LABELS}", faults) for path in folders.values()}
    faults.check(f"{sum(map(len, rows.values())) + faults.number:,} rows of {LABELS}")
    splits, others = {}, []
    for folder, path in folders.items():
        splits[FOLDERS[folder]] = _ballots(tree, path, rows[path], by_folder[path], on_item)
        others += [
            f"{path}/{file}"
            for file in by_folder[path]
            if file != LABELS and not image_files.has_name(file)
        ]
    note = f"{len(others):,} files that are no images are left out ({some(others)})."
    return splits, (note,) if others else ()


def _ballots(
    tree: Tree,
    folder: str,
    rows: Mapping[str, tuple[int, ...]],
    in_folder: Collection[str],
    on_item: Callable[[], None],
) -> list[Ballot]:
    images = {file for file in in_folder if image_files.has_name(file)}
    for what, missing in (
        (
            f"rows of {LABELS} have no image in the folder",
            [name for name in rows if name not in images],
        ),
        (f"images have no row in {LABELS}", sorted(images - set(rows))),
    ):
        if missing:
            raise UserError(
                f"{tree.where(folder)}: {len(missing):,} {what} ({some(missing)}); {len(rows):,} "
                f"rows and {len(images):,} images found. Unpack the data set again."
            )
    ballots = []
    for name, ballot in rows.items():
        path = f"{folder}/{name}"
        image = functools.cache(functools.partial(grey_image, tree, path))
        ballots.append(Ballot(name, ballot, image, tree.where(path)))
        on_item()
    return ballots


def _rows(tree: Tree, name: str, faults: Faults) -> dict[str, tuple[int, ...]]:
    """The votes by the name of the image; adds the faults of its rows."""
    found: dict[str, tuple[int, ...]] = {}
    where = tree.where(name)
    other_files.check_table(tree, name, f"{LABELS} of FER+")
    with tree.open_text(name) as file:
        for number, line in enumerate(csv_files.rows(file, where, f"{LABELS} of FER+"), start=1):
            with faults.caught(f"{name} {number:09}"):
                image, ballot = _parsed(line, f"{where}, row {number}")
                if image in found:
                    raise UserError(f"{where}, row {number}: {image} has a row already.")
                found[image] = ballot
    return found


def _parsed(line: Sequence[str], at: str) -> tuple[str, tuple[int, ...]]:
    """The name and the votes of a row."""
    num_votes = len(votes.ENTRIES)
    if len(line) not in (1 + num_votes, 2 + num_votes):
        raise UserError(
            f"{at}: expected the name of an image, its box and {num_votes} votes, found "
            f"{len(line)} fields ({csv_files.shortened(','.join(line))!r})."
        )
    if len(line) == 2 + num_votes:
        _check_box(line[1], at)
    return image_name(line[0], at), votes_of(line[-num_votes:], at)


def _check_box(text: str, at: str) -> None:
    box = re.fullmatch(r"\s*\((.*)\)\s*", text)
    sides = [side.strip() for side in box[1].split(",")] if box else []
    if numbers.whole(sides, max(_BOX)) != list(_BOX):
        raise UserError(
            f"{at}: the box of the face must be {_BOX}, the whole image, found "
            f"{csv_files.shortened(text)!r}; use the original file."
        )
