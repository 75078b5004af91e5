"""FER+ in both of its forms, told apart by content and read into the same examples."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ferjax.data.prepare.items import Reading
from ferjax.data.prepare.readers import image_files, own_images, trees
from ferjax.data.prepare.readers.fer2013 import read as fer2013
from ferjax.data.prepare.readers.fer_plus import ballots as fer_plus_ballots
from ferjax.data.prepare.readers.fer_plus import from_csv, from_folders
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, some


def read(path: Path, on_item: Callable[[], None] = lambda: None) -> Reading:
    """Reads FER+ from a folder or a zip.

    It holds fer2013new.csv together with fer2013.csv or icml_face_data.csv, or the folders
    FER2013Train, FER2013Valid and FER2013Test with images and label.csv. Where images lie in these
    folders, they are read.

    Args:
      path: an existing folder or zip.
      on_item: called after each image.

    Returns:
      Items whose images are uint8 [48, 48, 1], and whose key is the name that FER+ gives to the
      image.

    Raises:
      UserError: the source is not FER+ in a known form, is damaged, or its parts do not belong
        together. How many images it has is not checked here.
    """
    tree = trees.opened(path)
    names = tree.names()
    folders = from_folders.files(names)
    votes_name = _only(tree, names, from_csv.NAME)
    has_images = any(image_files.has_name(file) for folder in folders.values() for file in folder)
    if has_images or (folders and not votes_name):
        source_format = "folders of images"
        splits, notes = from_folders.read(tree, names, on_item)
    elif votes_name:
        images_name = _images_name(tree, names)
        source_format = f"{from_csv.NAME} and {images_name.split('/')[-1]}"
        splits, notes = from_csv.read(tree, votes_name, images_name, on_item)
    else:
        raise UserError(
            f"{path} is not FER+: expected {from_csv.NAME} together with "
            f"{' or '.join(fer2013.CSV_NAMES)}, or the folders "
            f"{', '.join(from_folders.FOLDERS)}; found {_found(names)}."
            f"{own_images.advice(tree, names)}"
        )
    notes = (*notes, *tree.notes())
    items = {split: fer_plus_ballots.items(ballots) for split, ballots in splits.items()}
    return Reading(source_format, items, notes=(*notes, *fer_plus_ballots.kept(splits)))


def _images_name(tree: Tree, names: Sequence[str]) -> str:
    for csv_name in fer2013.CSV_NAMES:
        name = _only(tree, names, csv_name)
        if name:
            return name
    raise UserError(
        f"{tree.path} has the votes of FER+ ({from_csv.NAME}), and neither of the files whose "
        f"rows they belong to, {' and '.join(fer2013.CSV_NAMES)}; found {_found(names)}. "
        "FER2013 as single images, as in msambare/fer2013, does not say which row an image was: "
        f"put fer2013.csv (deadskull7/fer2013 on Kaggle) beside {from_csv.NAME}, unpacked."
    )


def _only(tree: Tree, names: Sequence[str], file_name: str) -> str:
    """Where the file of that name is in the tree; "" if nowhere. Raises if there are several."""
    found = [name for name in names if name.split("/")[-1] == file_name]
    if len(found) > 1:
        raise UserError(
            f"{tree.path} holds {len(found)} files {file_name} ({some(found)}): pass a "
            "folder that holds one."
        )
    return found[0] if found else ""


def _found(names: Sequence[str]) -> str:
    return f"{len(names)} files ({some(names) or 'no file at all'})"
