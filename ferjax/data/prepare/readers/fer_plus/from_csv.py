"""FER+ as its authors publish it: fer2013new.csv, row by row for fer2013.csv.

Neither file names the images of the other. Row n of the one belongs to row n of the other, and
nothing but the number of rows and the Usage of each can tell whether they are aligned.
"""

from collections.abc import Callable
from typing import NamedTuple

from ferjax.data.prepare.readers import csv_files, other_files
from ferjax.data.prepare.readers.fer2013 import from_csv
from ferjax.data.prepare.readers.fer2013.from_images import USAGE_TO_SPLIT
from ferjax.data.prepare.readers.fer_plus.ballots import Ballot, image_name, votes_of
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.splits import votes
from ferjax.errors import UserError

NAME = "fer2013new.csv"
COLUMNS = ("Usage", "Image name", *votes.ENTRIES)

_TITLE = f"the votes of FER+ ({NAME})"
_USAGES = {split: usage for usage, split in USAGE_TO_SPLIT.items()}


class _Row(NamedTuple):
    """One row: its split, the name of its image, "" for one that is left out, and its votes."""

    split: str
    name: str
    votes: tuple[int, ...]


def read(
    tree: Tree, ballots_name: str, images_name: str, on_item: Callable[[], None]
) -> tuple[dict[str, list[Ballot]], tuple[str, ...]]:
    """Joins the two files row by row.

    Args:
      tree: holds both.
      ballots_name: fer2013new.csv in it.
      images_name: fer2013.csv or icml_face_data.csv in it.
      on_item: called after each image.

    Returns:
      The ballots of each split, and a note on what was left out.

    Raises:
      UserError: the files have other numbers of rows or other usages, or one of them is damaged.
    """
    rows = _rows(tree, ballots_name)
    splits: dict[str, list[Ballot]] = {split: [] for split in USAGE_TO_SPLIT.values()}
    # Number and two usages of the rows that differ: shown when all is read, because a file that
    # lacks a row differs in nearly all that follow.
    differing: list[tuple[int, str, str]] = []
    number = 0
    with from_csv.opened(tree, images_name) as (_, images):
        for image in images:
            number = image.number
            if number > len(rows):
                continue
            row = rows[number - 1]
            if row.split != image.split:
                differing.append((number, _USAGES[row.split], _USAGES[image.split]))
            elif row.name:
                splits[row.split].append(Ballot(row.name, row.votes, image.image))
                on_item()
    together = f"{tree.where(ballots_name)} and {tree.where(images_name)} do not belong together"
    if number != len(rows):
        raise UserError(
            f"{together}: {len(rows):,} rows of votes and {number:,} rows of images found, and "
            "row n of the one must be row n of the other. Download both again, and change neither."
        )
    if differing:
        first, of_votes, of_images = differing[0]
        raise UserError(
            f"{together}: the Usage of {len(differing):,} of {number:,} rows differs, first in row "
            f"{first} after the header, {of_votes} of the votes and {of_images} of the image. One "
            "of them is not in the original order: download both again."
        )
    unnamed = sum(not row.name for row in rows)
    note = (
        f"{unnamed:,} of {len(rows):,} rows of {NAME} name no image, by which FER+ marks those "
        "that cannot be used; they are left out."
    )
    return splits, (note,) if unnamed else ()


def _rows(tree: Tree, name: str) -> list[_Row]:
    """Every row of fer2013new.csv; a UserError names those that are not as they should be."""
    row_of: dict[str, int] = {}

    def parse(line: csv_files.Line) -> _Row:
        number, at, (usage, image, *cells) = line
        name = image_name(image, at) if image.strip() else ""
        if name and row_of.setdefault(name, number) != number:
            raise UserError(f"{at}: {name} is already the image of row {row_of[name]}.")
        return _Row(from_csv.split_of(usage, at), name, votes_of(cells, at))

    other_files.check_table(tree, name, _TITLE)
    with tree.open_text(name) as file:
        return list(csv_files.table(file, tree.where(name), _TITLE, COLUMNS).rows(parse))
