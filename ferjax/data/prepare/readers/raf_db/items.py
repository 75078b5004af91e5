"""What both layouts of RAF-DB share: its images, its label numbers, rows that match the images."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping

from ferjax.data.labels import RAF_DB
from ferjax.data.prepare.faults import Fault
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import image_files, numbers
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, some

IMAGE_SIZE = 100
SPLITS = ("train", "test")

_COMPOUND_CLASSES = 11


def item(tree: Tree, name: str, label: int) -> Item:
    """The example in an image file, which has to have the size of an aligned image."""
    image = functools.partial(
        image_files.read_square,
        tree,
        name,
        IMAGE_SIZE,
        "an aligned image of RAF-DB",
        "Use the images that the authors aligned, not resized and not the original photographs.",
    )
    return Item(name, label, image, where=tree.where(name))


def label_of(text: str, at: str) -> int:
    """The label that a number from 1 to 7 means: 0 to 6.

    Args:
      text: the number.
      at: where it stands, for messages.

    Raises:
      UserError: it is no such number, or is one of the compound emotions.
    """
    (number,) = numbers.whole([text], 999) or [0]
    if number > RAF_DB.num_classes:
        raise Fault(
            f"{at}: the label is {number}, and the basic emotions are 1 to {RAF_DB.num_classes}.",
            f"This is the compound-emotion list of RAF-DB (1 to {_COMPOUND_CLASSES}), whose file "
            "has the same name. Use the labels and images of the basic emotions, which come in a "
            "folder of their own (basic).",
        )
    if number == 0:
        meanings = ", ".join(f"{index} {name}" for index, name in enumerate(RAF_DB.names, 1))
        raise UserError(f"{at}: expected a label from 1 to 7 ({meanings}), found {text!r}.")
    return number - 1


def check_match(
    tree: Tree, label_file: str, rows: Mapping[str, object], images: Mapping[str, object]
) -> None:
    """Checks that each row of a label file has its image, and each image its row.

    Args:
      tree: that both are in.
      label_file: its name.
      rows: keyed by what names an image.
      images: keyed in the same way.

    Raises:
      UserError: with how many have no partner, and the first few of them.
    """
    faults = []
    without_image = [name for name in rows if name not in images]
    if without_image:
        faults.append(
            f"  {len(without_image):,} of its {len(rows):,} rows have no image: "
            + some(without_image)
        )
    without_row = [name for name in images if name not in rows]
    if without_row:
        faults.append(
            f"  {len(without_row):,} of the {len(images):,} images have no row: "
            + some(without_row)
        )
    if faults:
        raise UserError(
            f"{tree.where(label_file)} does not match the images:\n"
            + "\n".join(faults)
            + "\nThe copy is incomplete, or the list is of other images: unpack RAF-DB again."
        )


def only_file(tree: Tree, files: Collection[str], what: str) -> str:
    """The one of the files that should be one; a UserError lists them where there are more."""
    if len(files) > 1:
        raise UserError(
            f"{tree.path} holds {len(files)} files {what}: {some(files)}. It may hold the "
            "basic and the compound emotions, or RAF-DB twice: pass a folder or zip of the basic "
            "emotions alone."
        )
    return next(iter(files))


def by_key(tree: Tree, names: Iterable[str], key_of: Callable[[str], str]) -> dict[str, str]:
    """Files by what names their image; a UserError names two files of one image."""
    found: dict[str, str] = {}
    for name in names:
        key = key_of(name)
        if key in found:
            raise UserError(
                f"{tree.where(name)} and {tree.where(found[key])} are the same image, {key}: the "
                "source must hold RAF-DB once."
            )
        found[key] = name
    return found
