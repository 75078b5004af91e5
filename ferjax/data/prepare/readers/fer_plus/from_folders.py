"""FER+ as the scripts of its authors unpack it: a folder of PNG files and label.csv for each split.

A row of label.csv is `fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0`: name, box of the face
and the ten votes. There is no header, and the newer of the scripts write no box.
"""

import re
from collections.abc import Callable, Collection, Sequence

from ferjax.data.images.kinds import EXTENSIONS
from ferjax.data.prepare.readers import csv_files, numbers
from ferjax.data.prepare.readers.fer2013.from_images import IMAGE_SIZE, grey_pixels
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


def is_image(file: str) -> bool:
    """Whether a file is an image, by its name."""
    return file.lower().endswith(EXTENSIONS)


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
    splits, others = {}, []
    for folder, split in FOLDERS.items():
        paths = [path for path in by_folder if path.split("/")[-1] == folder]
        if len(paths) != 1:
            raise UserError(
                f"{tree.path} must hold the folders {', '.join(FOLDERS)} once each; {folder} is "
                + (f"there {len(paths)} times ({', '.join(paths)})." if paths else "not there.")
            )
        splits[split] = _ballots(tree, paths[0], by_folder[paths[0]], on_item)
        others += [
            f"{paths[0]}/{file}"
            for file in by_folder[paths[0]]
            if file != LABELS and not is_image(file)
        ]
    note = f"{len(others):,} files that are no images are left out ({some(others)})."
    return splits, (note,) if others else ()


def _ballots(
    tree: Tree, folder: str, in_folder: Collection[str], on_item: Callable[[], None]
) -> list[Ballot]:
    if LABELS not in in_folder:
        raise UserError(f"{tree.where(folder)} has no {LABELS}, the file with the votes.")
    images = {file for file in in_folder if is_image(file)}
    rows = _rows(tree, f"{folder}/{LABELS}")
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
        ballots.append(Ballot(name, ballot, grey_pixels(tree, f"{folder}/{name}")))
        on_item()
    return ballots


def _rows(tree: Tree, name: str) -> dict[str, tuple[int, ...]]:
    """The votes by the name of the image; a UserError names a row that is not as it should be."""
    found: dict[str, tuple[int, ...]] = {}
    where, num_votes = tree.where(name), len(votes.ENTRIES)
    with tree.open_text(name) as file:
        for number, line in enumerate(csv_files.rows(file, where, f"{LABELS} of FER+"), start=1):
            at = f"{where}, row {number}"
            if len(line) not in (1 + num_votes, 2 + num_votes):
                raise UserError(
                    f"{at}: expected the name of an image, its box and {num_votes} votes, found "
                    f"{len(line)} fields ({csv_files.shortened(','.join(line))!r})."
                )
            image = image_name(line[0], at)
            if image in found:
                raise UserError(f"{at}: {image} has a row already.")
            if len(line) == 2 + num_votes:
                _check_box(line[1], at)
            found[image] = votes_of(line[-num_votes:], at)
    return found


def _check_box(text: str, at: str) -> None:
    box = re.fullmatch(r"\s*\((.*)\)\s*", text)
    sides = [side.strip() for side in box[1].split(",")] if box else []
    if numbers.whole(sides, max(_BOX)) != list(_BOX):
        raise UserError(
            f"{at}: the box of the face must be {_BOX}, the whole image, found "
            f"{csv_files.shortened(text)!r}; use the original file."
        )
