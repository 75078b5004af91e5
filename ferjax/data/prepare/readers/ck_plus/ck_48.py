"""CK+48: 48x48 faces of the last three frames of CK+, in one folder for each class.

happy/S010_006_00000013.png: the folder is the class, by name, and the file says who is shown.
"""

import functools
import re
from collections.abc import Callable, Sequence

from ferjax.data.images import decoding
from ferjax.data.labels import CK_PLUS, EMOTIONS
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers.ck_plus.names import by_frame, frame_of
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest

IMAGE_SIZE = 48

_IMAGE = re.compile(r"(?:.*/)?([^/]+)/[^/]+\.png", re.IGNORECASE)
_LABELS = {
    spelling: next(label for label, name in enumerate(CK_PLUS.names) if EMOTIONS[name] == emotion)
    for spelling, emotion in EMOTIONS.items()
    if emotion in {EMOTIONS[name] for name in CK_PLUS.names}
}


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are in this layout: one in a folder of a class is enough."""
    return any((match := _IMAGE.fullmatch(name)) and match[1].lower() in _LABELS for name in names)


def read(tree: Tree, names: Sequence[str], on_item: Callable[[], None]) -> list[Item]:
    """The examples, sorted by name; raises as `ck_plus.read.read` does."""
    images = [name for name in names if name.lower().endswith(".png")]
    for name in images:
        if frame_of(name, ".png") is None:
            raise UserError(
                f"{tree.where(name)}: the name does not say who is shown, and folds by subject "
                "need it. Use a copy that keeps the names of CK+, such as S010_006_00000013.png."
            )
    items = []
    for frame, name in by_frame(tree, images, ".png").items():
        items.append(_item(tree, name, frame.subject))
        on_item()
    return items


def _item(tree: Tree, name: str, subject: str) -> Item:
    match = _IMAGE.fullmatch(name)
    class_name = match[1] if match else ""
    if class_name.lower() not in _LABELS:
        raise UserError(
            f"{tree.where(name)}: {class_name!r} is not a class of CK+."
            f"{nearest(class_name, _LABELS)} Its classes are: {', '.join(CK_PLUS.names)}."
        )
    decoding.check_size(
        tree.read(name),
        tree.where(name),
        IMAGE_SIZE,
        "an image of CK+48",
        "Use a copy that has not been resized, or the official release.",
    )
    return Item(
        name, _LABELS[class_name.lower()], functools.partial(tree.read, name), subject=subject
    )
