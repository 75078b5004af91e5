"""FER2013 as image files: train/<class>/Training_N.jpg, test/<class>/{Public,Private}Test_N.jpg.

The split is in the file name, not in the folder, and the class is mapped by the name of its folder:
in alphabetical order neutral comes before sad, in the order of the labels it is last. File numbers
repeat across classes, so that only the whole path names an image.
"""

import re
from collections.abc import Callable

from ferjax.data.examples import Examples
from ferjax.data.images import decoding
from ferjax.data.labels import FER2013
from ferjax.data.prepare.readers.collect import Collector
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest

IMAGE_SIZE = 48
USAGE_TO_SPLIT = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}

_FOLDERS = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
_IMAGE = re.compile(r"(?:^|.*/)((?:train|test)/[^/]+/[^/]+\.(?:jpe?g|png))", re.IGNORECASE)
_FILE = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.\w+", re.ASCII)


def image_names(names: list[str]) -> dict[str, str]:
    """The files laid out as train/<class>/<file> or test/<class>/<file>, at any depth.

    Returns:
      The name of each, and its key: the part of the name from train/ or test/ on.
    """
    matches = {name: _IMAGE.fullmatch(name) for name in names}
    return {name: match[1] for name, match in matches.items() if match}


def read(tree: Tree, names: list[str], on_example: Callable[[], None]) -> dict[str, Examples]:
    """Decodes the images among `names`; a UserError names the file that is not as it should be."""
    collector = Collector(tuple(USAGE_TO_SPLIT.values()), (IMAGE_SIZE, IMAGE_SIZE, 1))
    for name, key in image_names(names).items():
        split, label = _split_and_label(tree, name, key)
        collector.add(split, label, grey_pixels(tree, name), key)
        on_example()
    return collector.examples()


def _split_and_label(tree: Tree, name: str, key: str) -> tuple[str, int]:
    folder, class_name, file_name = key.split("/")
    match = _FILE.fullmatch(file_name)
    if match is None:
        raise UserError(
            f"{tree.where(name)}: the file name does not say whether the image is of Training, "
            "PublicTest or PrivateTest (expected names like Training_123.jpg). Use a copy that "
            "keeps the original names, such as msambare/fer2013 on Kaggle."
        )
    usage = match[1]
    if _FOLDERS[usage] != folder.lower():
        raise UserError(
            f"{tree.where(name)}: a {usage} image belongs under {_FOLDERS[usage]}/, not {folder}/."
        )
    if class_name.lower() not in FER2013.names:
        raise UserError(
            f"{tree.where(name)}: {class_name!r} is not a class of FER2013."
            f"{nearest(class_name, FER2013.names)} Its classes are: {', '.join(FER2013.names)}."
        )
    return USAGE_TO_SPLIT[usage], FER2013.names.index(class_name.lower())


def grey_pixels(tree: Tree, name: str) -> bytes:
    """The 48x48 grey values of an image file, row by row; a UserError names one of another form."""
    image = decoding.opened(tree.read(name), tree.where(name))
    if image.size != (IMAGE_SIZE, IMAGE_SIZE) or image.mode != "L":
        width, height = image.size
        raise UserError(
            f"{tree.where(name)}: expected a grey image of {IMAGE_SIZE}x{IMAGE_SIZE} pixels (mode "
            f"L), found {width}x{height} of mode {image.mode}. Use a copy that has not been "
            "resized or coloured."
        )
    return image.tobytes()
