"""FER2013 as image files: train/<class>/Training_N.jpg, test/<class>/{Public,Private}Test_N.jpg.

The split is in the file name, not in the folder, and the class is mapped by the name of its folder:
in alphabetical order neutral comes before sad, in the order of the labels it is last. File numbers
repeat across classes, so that only the whole path names an image.
"""

import functools
import re
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from ferjax.data.images import decoding
from ferjax.data.labels import FER2013, emotion_of
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Item
from ferjax.data.prepare.readers import image_files
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest

IMAGE_SIZE = 48
USAGE_TO_SPLIT = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}

_FOLDERS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
_LABELS = {emotion_of(name): label for label, name in enumerate(FER2013.names)}
_IMAGE = re.compile(r"(?:^|.*/)((?:train|test)/[^/]+/[^/]+\.(?:jpe?g|png))", re.IGNORECASE)
_FILE = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.\w+", re.ASCII)


def image_names(names: list[str]) -> dict[str, str]:
    """The files laid out as train/<class>/<file> or test/<class>/<file>, at any depth.

    Returns:
      The name of each, and its key: the part of the name from train/ or test/ on.
    """
    matches = {name: _IMAGE.fullmatch(name) for name in names}
    return {name: match[1] for name, match in matches.items() if match}


def is_original(name: str) -> bool:
    """Whether a file has a name of FER2013, which tells its split."""
    return _FILE.fullmatch(name.split("/")[-1]) is not None


def read(tree: Tree, names: list[str], on_item: Callable[[], None]) -> dict[str, list[Item]]:
    """The images among `names`; a UserError names files that are not as they should be."""
    splits: dict[str, dict[str, Item]] = {split: {} for split in USAGE_TO_SPLIT.values()}
    faults = Faults()
    images = image_names(names)
    for name, key in images.items():
        with faults.caught(name):
            split, label = _split_and_label(tree, name, key)
            if key in splits[split]:
                raise UserError(f"{key} occurs twice: the source must hold the data set once.")
            # Checked and written: all of them are small enough to be kept in between.
            image = functools.cache(functools.partial(grey_image, tree, name))
            splits[split][key] = Item(key, label, image, where=tree.where(name))
        on_item()
    faults.check(f"{len(images):,} images of {tree.path}")
    return {split: list(items.values()) for split, items in splits.items()}


def _split_and_label(tree: Tree, name: str, key: str) -> tuple[str, int]:
    folder, class_name, file_name = key.split("/")
    match = _FILE.fullmatch(file_name)
    if match is None:
        raise Fault(
            f"{tree.where(name)}: the file name does not say whether the image is of Training, "
            "PublicTest or PrivateTest (expected names like Training_123.jpg).",
            "Use a copy that keeps the original names, such as msambare/fer2013 on Kaggle.",
        )
    usage = match[1]
    if _FOLDERS[usage] != folder.lower():
        raise UserError(
            f"{tree.where(name)}: a {usage} image belongs under {_FOLDERS[usage]}/, not {folder}/."
        )
    emotion = emotion_of(class_name)
    if emotion not in _LABELS:
        raise UserError(
            f"{tree.where(name)}: {class_name!r} is not a class of FER2013."
            f"{nearest(class_name, FER2013.names)} Its classes are: {', '.join(FER2013.names)}."
        )
    return USAGE_TO_SPLIT[usage], _LABELS[emotion]


def grey_image(tree: Tree, name: str) -> UInt8[np.ndarray, "48 48 1"]:
    """The grey values of an image file; a UserError names one of another form."""
    image = decoding.opened(image_files.read(tree, name), tree.where(name))
    if image.size != (IMAGE_SIZE, IMAGE_SIZE) or image.mode != "L":
        width, height = image.size
        raise Fault(
            f"{tree.where(name)}: expected a grey image of {IMAGE_SIZE}x{IMAGE_SIZE} pixels (mode "
            f"L), found {width}x{height} of mode {image.mode}.",
            "Use a copy that has not been resized or coloured.",
        )
    return np.asarray(image)[:, :, None]
