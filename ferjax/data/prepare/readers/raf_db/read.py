"""RAF-DB with its basic emotions, in its authors' layout or in Kaggle's."""

from collections.abc import Callable
from pathlib import Path

from ferjax.data.prepare.items import Reading
from ferjax.data.prepare.readers import trees
from ferjax.data.prepare.readers.raf_db import from_kaggle, from_official
from ferjax.errors import UserError


def read(path: Path, on_item: Callable[[], None] = lambda: None) -> Reading:
    """Finds the images of RAF-DB and their labels; images are read when they are asked for.

    Args:
      path: an existing folder or zip. The layout may begin in a folder below it.
      on_item: called after each image that is found.

    Returns:
      A reading with the splits train and test, whose images are the JPEG files as they are.

    Raises:
      UserError: the source is not RAF-DB in a known layout, holds the compound emotions, or its
        labels and its images do not match, or an image has another size. An image that is cut short
        raises when it is asked for. How many there are is not checked here.
    """
    tree = trees.opened(path)
    names = tree.names()
    kind = "folder" if path.is_dir() else "zip"
    # The files of both have the same names, but the official list is nowhere else.
    if from_kaggle.is_layout(names) and not from_official.lists(names):
        splits = from_kaggle.read(tree, names, on_item)
        return Reading(f"Kaggle layout, {kind}", splits, notes=tree.notes())
    if from_official.is_layout(names):
        splits = from_official.read(tree, names, on_item)
        return Reading(f"official layout, {kind}", splits, notes=tree.notes())
    examples = ", ".join(names[:3]) or "no file at all"
    raise UserError(
        f"{path} is not RAF-DB: expected Image/aligned/train_00001_aligned.jpg and so on with "
        f"EmoLabel/{from_official.LIST_NAME}, or train/<1 to 7>/ and test/<1 to 7>/ full of "
        f"images; found {len(names)} files ({examples})."
    )
