"""FER2013 in each of the forms it is passed around in, told apart by content and read."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ferjax.data.prepare.items import Reading
from ferjax.data.prepare.readers import csv_files, image_files, trees
from ferjax.data.prepare.readers.fer2013 import from_csv, from_images, partial_copies
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, some

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")


def read(path: Path, on_item: Callable[[], None] = lambda: None) -> Reading:
    """Reads FER2013 from a zip, a folder or a CSV file.

    Args:
      path: an existing file or folder.
      on_item: called after each image that is found.

    Raises:
      UserError: the source is not FER2013 in a known form, or is damaged. How many images it has,
        and whether image files can be read, is not checked here.
    """
    if not path.is_dir() and not trees.is_zip(path):
        return _read_file(path, on_item)
    tree = trees.opened(path)
    names, notes = tree.names(), tree.notes()
    images = from_images.image_names(names)
    if images:
        if not any(map(from_images.is_original, names)):
            partial_copies.check_names(tree, names)
        tables = [name for name in names if name.split("/")[-1].lower() in CSV_NAMES]
        if tables:
            notes = (f"Left out, since the images are read: {some(tables)}.", *notes)
        more = image_files.unread(names, images, "outside the folders of FER2013")
        splits = from_images.read(tree, names, on_item)
        kind = "folder" if path.is_dir() else "zip"
        return Reading(kind, splits, notes=notes, remarks=more)
    tables = [name for name in names if name.lower().endswith(".csv")]
    chosen = _chosen(tree, tables)
    if chosen:
        others = [name for name in tables if name not in chosen]
        if others:
            notes = (f"Left out, since {some(chosen)} is read: {some(others)}.", *notes)
        return _read_tables(tree, chosen, names, on_item, notes)
    partial_copies.check_columns(tree, tables, names)
    partial_copies.check_names(tree, names)
    examples = some(names) or "no file at all"
    raise UserError(
        f"{tree.path} is not FER2013: expected images named train/<class>/Training_N.jpg and "
        f"test/<class>/PublicTest_N.jpg or PrivateTest_N.jpg, or a file {CSV_NAMES[0]} or "
        f"{CSV_NAMES[1]}; found {len(names)} files ({examples})."
    )


def _chosen(tree: Tree, tables: Sequence[str]) -> list[str]:
    """The tables that are read: the one of a known name, or all that have the columns."""
    for csv_name in CSV_NAMES:
        same = [name for name in tables if name.split("/")[-1].lower() == csv_name]
        if len(same) > 1:
            raise UserError(
                f"{tree.path} holds {len(same)} files named {csv_name} ({some(same)}), and which "
                "one is meant is not known: unpack it if need be, and pass one of them."
            )
        if same:
            return same
    return [name for name in tables if _has_columns(tree, name)]


def _has_columns(tree: Tree, name: str) -> bool:
    return {column.lower() for column in from_csv.COLUMNS} <= set(csv_files.columns(tree, name))


def _read_file(path: Path, on_item: Callable[[], None]) -> Reading:
    tree = trees.FolderTree(path.parent)
    beside = sorted(one.name for one in path.parent.iterdir() if one.is_file())
    reading = _read_tables(tree, [path.name], beside, on_item, ())
    if all(reading.splits.values()):
        return reading
    tables = [name for name in beside if name.lower().endswith(".csv") and name != path.name]
    others = [name for name in tables if _has_columns(tree, name)]
    note = (
        f"Left out: {some(others)}, which lie beside it and have the same columns. Pass their "
        "folder to have all of them read."
    )
    remarks = (note,) if others else ()
    return Reading(reading.source_format, reading.splits, remarks=remarks)


def _read_tables(
    tree: Tree,
    tables: Sequence[str],
    names: Sequence[str],
    on_item: Callable[[], None],
    notes: tuple[str, ...],
) -> Reading:
    partial_copies.check_columns(tree, tables, names)
    source_format, splits = from_csv.read(tree, tables, on_item)
    return Reading(source_format, splits, notes=notes)
