"""FER2013 in each of the forms it is passed around in, told apart by content and read."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from ferjax.data.examples import Examples
from ferjax.data.prepare.items import Reading, items_of
from ferjax.data.prepare.readers.fer2013 import from_csv, from_images
from ferjax.data.prepare.readers.tree import Tree
from ferjax.data.prepare.readers.trees import FolderTree, is_zip
from ferjax.data.prepare.readers.zip_tree import ZipTree
from ferjax.errors import UserError, some

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
    if is_zip(path):
        with contextlib.closing(ZipTree(path)) as tree:
            return _read_tree(tree, "zip", on_item)
    return _read_csv(FolderTree(path.parent), path.name, on_item)


def _read_tree(tree: Tree, source_format: str, on_item: Callable[[], None]) -> Reading:
    names, notes = tree.names(), tree.notes()
    csv_files = [name for name in names if name.split("/")[-1] in CSV_NAMES]
    if from_images.image_names(names):
        if csv_files:
            notes = (f"Left out, since the images are read: {some(csv_files)}.", *notes)
        return _reading(source_format, from_images.read(tree, names, on_item), notes)
    for csv_name in CSV_NAMES:
        same = [name for name in csv_files if name.split("/")[-1] == csv_name]
        if len(same) > 1:
            raise UserError(
                f"{tree.path} holds {len(same)} files named {csv_name} ({some(same)}), and which "
                "one is meant is not known: unpack it if need be, and pass one of them."
            )
        if same:
            others = [name for name in csv_files if name not in same]
            if others:
                notes = (f"Left out, since {same[0]} is read: {some(others)}.", *notes)
            return _read_csv(tree, same[0], on_item, notes)
    examples = ", ".join(names[:3]) or "no file at all"
    raise UserError(
        f"{tree.path} is not FER2013: expected images named train/<class>/Training_N.jpg and "
        f"test/<class>/PublicTest_N.jpg or PrivateTest_N.jpg, or a file {CSV_NAMES[0]} or "
        f"{CSV_NAMES[1]}; found {len(names)} files ({examples})."
    )


def _read_csv(
    tree: Tree, name: str, on_item: Callable[[], None], notes: tuple[str, ...] = ()
) -> Reading:
    source_format, splits = from_csv.read(tree, name, on_item)
    return _reading(source_format, splits, notes)


def _reading(source_format: str, splits: Mapping[str, Examples], notes: tuple[str, ...]) -> Reading:
    items = {name: items_of(split) for name, split in splits.items()}
    return Reading(source_format, items, notes=notes)
