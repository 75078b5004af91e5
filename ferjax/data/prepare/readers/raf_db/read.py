"""RAF-DB with its basic emotions, in its authors' layout or in Kaggle's."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ferjax.data.prepare.items import Item, Reading
from ferjax.data.prepare.readers import image_files, own_images, trees
from ferjax.data.prepare.readers.raf_db import from_kaggle, from_official
from ferjax.errors import UserError, some

_NUMBER = re.compile(r"(?:train|test)_([0-9]{1,9})", re.IGNORECASE)


def read(path: Path, on_item: Callable[[], None] = lambda: None) -> Reading:
    """Finds the images of RAF-DB and their labels; images are read when they are asked for.

    Args:
      path: an existing folder or zip. The layout may begin in a folder below it.
      on_item: called after each image that is found.

    Returns:
      A reading with the splits train and test, whose images are the JPEG files as they are.

    Raises:
      UserError: the source is not RAF-DB in a known layout, holds the compound emotions, or its
        labels and its images do not match. An image that cannot be read, or of another size, raises
        when it is asked for. How many there are is not checked here.
    """
    tree = trees.opened(path)
    names = tree.names()
    kind = "folder" if path.is_dir() else "zip"
    remarks: tuple[str, ...] = ()
    # The files of both have the same names, but the official list is nowhere else.
    if from_kaggle.is_layout(names) and not from_official.lists(names):
        layout = "Kaggle layout"
        splits, remarks = from_kaggle.read(tree, names, on_item)
    elif from_official.is_layout(names):
        layout = "official layout"
        splits = from_official.read(tree, names, on_item)
    else:
        examples = some(names) or "no file at all"
        raise UserError(
            f"{path} is not RAF-DB: expected Image/aligned/train_00001_aligned.jpg and so on with "
            f"EmoLabel/{from_official.LIST_NAME}, or train/<1 to 7>/ and test/<1 to 7>/ full of "
            f"images; found {len(names)} files ({examples})."
            f"{own_images.advice(tree, names)}"
        )
    used = [item.key for found in splits.values() for item in found]
    more = image_files.unread(names, used, "outside the folders and lists of RAF-DB")
    return Reading(
        f"{layout}, {kind}",
        splits,
        notes=tree.notes(),
        remarks=(*remarks, *more),
        numbers={split: _numbers(found) for split, found in splits.items()},
    )


def _numbers(found: Sequence[Item]) -> list[int]:
    """The numbers in the names of the images of a split."""
    matches = (_NUMBER.match(item.key.split("/")[-1]) for item in found)
    return [int(match[1]) for match in matches if match]
