"""FER2013 in each of the forms it is passed around in, told apart by content and read."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ferjax.data import fer2013_csv, fer2013_images
from ferjax.data.examples import Examples
from ferjax.data.trees import FolderTree, Tree, ZipTree
from ferjax.errors import UserError

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")


@dataclass(frozen=True)
class Reading:
    """What a source turned out to be, and what is in it.

    Attributes:
      source_format: "folder", "zip", "fer2013.csv" or "icml_face_data.csv".
      splits: the examples of train, validation and test, in the order of the source.
    """

    source_format: str
    splits: dict[str, Examples]


def read(path: Path, on_example: Callable[[], None] = lambda: None) -> Reading:
    """Reads FER2013 from a zip, a folder or a CSV file.

    Args:
      path: an existing file or folder.
      on_example: called after each image.

    Raises:
      UserError: the source is not FER2013 in a known form, or is damaged. How many images it has
        is not checked here.
    """
    if path.is_dir():
        return _read_tree(FolderTree(path), "folder", on_example)
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"PK":
        with contextlib.closing(ZipTree(path)) as tree:
            return _read_tree(tree, "zip", on_example)
    if magic[:2] == b"\x1f\x8b":
        raise UserError(
            f"{path} is a gzip archive: unpack it (tar -xzf {path.name}) and pass the folder."
        )
    return _read_csv(FolderTree(path.parent), path.name, on_example)


def _read_tree(tree: Tree, source_format: str, on_example: Callable[[], None]) -> Reading:
    names = tree.names()
    if fer2013_images.image_names(names):
        return Reading(source_format, fer2013_images.read(tree, names, on_example))
    for csv_name in CSV_NAMES:
        for name in names:
            if name.split("/")[-1] == csv_name:
                return _read_csv(tree, name, on_example)
    examples = ", ".join(names[:3]) or "no file at all"
    raise UserError(
        f"{tree.path} is not FER2013: expected images named train/<class>/Training_N.jpg and "
        f"test/<class>/PublicTest_N.jpg or PrivateTest_N.jpg, or a file {CSV_NAMES[0]} or "
        f"{CSV_NAMES[1]}; found {len(names)} files ({examples})."
    )


def _read_csv(tree: Tree, name: str, on_example: Callable[[], None]) -> Reading:
    source_format, splits = fer2013_csv.read(tree, name, on_example)
    return Reading(source_format, splits)
