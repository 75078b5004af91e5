"""CK+48: 48x48 faces of the last three frames of CK+, in one folder for each class.

happy/S010_006_00000013.png: the folder is the class, by name, and the file says who is shown.
"""

import functools
import re
from collections.abc import Callable, Sequence

from ferjax.data.labels import CK_PLUS, emotion_of
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import image_files, own_images
from ferjax.data.prepare.readers.ck_plus.names import by_frame, frame_of
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest, some

IMAGE_SIZE = 48

_IMAGE = re.compile(r"(?:.*/)?([^/]+)/[^/]+\.png", re.IGNORECASE)
_LABELS = {emotion_of(name): label for label, name in enumerate(CK_PLUS.names)}


def is_layout(names: Sequence[str]) -> bool:
    """Whether files named so are in this layout: one in a folder of a class is enough."""
    return any(
        (match := _IMAGE.fullmatch(name)) and emotion_of(match[1]) in _LABELS for name in names
    )


def read(tree: Tree, names: Sequence[str], on_item: Callable[[], None]) -> list[Item]:
    """The examples, sorted by name; raises as `ck_plus.read.read` does."""
    images = [name for name in names if name.lower().endswith(".png")]
    faults = Faults()
    if not any(frame_of(name, ".png") for name in images):
        raise UserError(
            f"{tree.path} is not CK+: no image has a name of CK+ ({some(images)}), which says who "
            "is shown, as S010_006_00000013.png; folds by subject need it. Use a copy that keeps "
            f"these names.{own_images.advice(tree, names)}"
        )
    for name in images:
        with faults.caught(name):
            _label(tree, name)
            if frame_of(name, ".png") is None:
                raise Fault(
                    f"{tree.where(name)}: the name does not say who is shown, and folds by subject "
                    "need it.",
                    "Use a copy that keeps the names of CK+, such as S010_006_00000013.png.",
                )
    faults.check(f"{len(images):,} images of {tree.path}")
    items = []
    for frame, name in by_frame(tree, images, ".png").items():
        image = functools.partial(
            image_files.read_square,
            tree,
            name,
            IMAGE_SIZE,
            "an image of CK+48",
            "Use a copy that has not been resized, or the official release.",
        )
        label = _label(tree, name)
        items.append(Item(name, label, image, subject=frame.subject, where=tree.where(name)))
        on_item()
    return items


def _label(tree: Tree, name: str) -> int:
    """The label of an image, by its folder."""
    match = _IMAGE.fullmatch(name)
    class_name = match[1] if match else ""
    emotion = emotion_of(class_name)
    if emotion not in _LABELS:
        raise UserError(
            f"{tree.where(name)}: {class_name!r} is not a class of CK+."
            f"{nearest(class_name, CK_PLUS.names)} Its classes are: {', '.join(CK_PLUS.names)}."
        )
    return _LABELS[emotion]
