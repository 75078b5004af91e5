"""FER2013 in each of the forms it is passed around in, told apart by content and read."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from ferjax.data.examples import Examples
from ferjax.data.prepare.items import Reading, items_of
from ferjax.data.prepare.readers.fer2013 import from_csv, from_images
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.prepare.readers.trees import FolderTree, first_bytes, refuse_gzip
from ferjax.data.prepare.readers.zip_tree import ZipTree
from ferjax.errors import UserError

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")


def read(path: Path, on_item: Callable[[], None] = lambda: None) -> Reading:
    """Reads FER2013 from a zip, a folder or a CSV file.

    Args:
      path: an existing file or folder.
      on_item: called after each image.

    Raises:
      UserError: the source is not FER2013 in a known form, or is damaged. How many images it has
        is not checked here.
    """
    if path.is_dir():
        return _read_tree(FolderTree(path), "folder", on_item)
    magic = first_bytes(path)
    if magic[:2] == b"PK":
        with contextlib.closing(ZipTree(path)) as tree:
            return _read_tree(tree, "zip", on_item)
    refuse_gzip(path, magic)
    return _read_csv(FolderTree(path.parent), path.name, on_item)


def _read_tree(tree: Tree, source_format: str, on_item: Callable[[], None]) -> Reading:
    names = tree.names()
    if from_images.image_names(names):
        return _reading(source_format, from_images.read(tree, names, on_item))
    for csv_name in CSV_NAMES:
        for name in names:
            if name.split("/")[-1] == csv_name:
                return _read_csv(tree, name, on_item)
    examples = ", ".join(names[:3]) or "no file at all"
    raise UserError(
        f"{tree.path} is not FER2013: expected images named train/<class>/Training_N.jpg and "
        f"test/<class>/PublicTest_N.jpg or PrivateTest_N.jpg, or a file {CSV_NAMES[0]} or "
        f"{CSV_NAMES[1]}; found {len(names)} files ({examples})."
    )


def _read_csv(tree: Tree, name: str, on_item: Callable[[], None]) -> Reading:
    source_format, splits = from_csv.read(tree, name, on_item)
    return _reading(source_format, splits)


def _reading(source_format: str, splits: Mapping[str, Examples]) -> Reading:
    return Reading(source_format, {name: items_of(split) for name, split in splits.items()})
