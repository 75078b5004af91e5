"""A user's own images, one folder for each class.

    train/happy/1.jpg, validation/happy/2.jpg, test/happy/3.png     split by the user
    happy/1.jpg, sad/2.jpg                                          split by a scheme when opened

The layout may lie below folders that hold nothing else, for example in the zip of a folder. Nothing
is guessed: an image that is in no class, or a class that is not in train, is an error.
"""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image as PillowImage

from ferjax.data.images import decoding
from ferjax.data.prepare.items import Image, Item, Reading
from ferjax.data.prepare.readers import image_files, trees
from ferjax.data.prepare.readers.image_folder import class_folders, class_names
from ferjax.data.prepare.readers.image_folder.class_folders import Layout
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, nearest

MAX_IMAGE_SIZE = 2048

# What a file of the two stored formats begins with.
_STORED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def read(
    path: Path,
    on_item: Callable[[], None] = lambda: None,
    *,
    image_size: int | None = None,
    labels: str = "",
) -> Reading:
    """Finds the images of a folder or a zip.

    Args:
      path: an existing folder or zip.
      on_item: called after each image whose header is read, which takes `image_size`.
      image_size: side in pixels of the square that every image is resized to, bilinearly. Height
        and width are scaled each by its own factor: nothing is cut off, and a picture that is not
        square is squeezed, which a note says. None: images are stored as they are, and all must
        have one size.
      labels: the class names joined by commas, in the order that numbers them; "" for the sorted
        names of the folders.

    Returns:
      The stored splits "train", "test" and, if it is there, "validation"; or the one split "whole".
      Items whose images are the bytes of JPEG and PNG files (files of other formats are packed
      anew as PNG), or uint8 [image_size, image_size, C], C = 1 if all images are grey and else 3.

    Raises:
      UserError: another layout; folders and `labels` that do not match; an image that lies
        elsewhere. Whether images can be read, and without `image_size` have one size, is not
        checked here.
    """
    if image_size is not None and not 1 <= image_size <= MAX_IMAGE_SIZE:
        raise UserError(
            f"--image_size is {image_size}; expected pixels from 1 to {MAX_IMAGE_SIZE}."
        )
    tree = trees.opened(path)
    try:
        layout = class_folders.find(tree)
        names = _names(layout, labels)
        shape, notes = None, list(layout.notes)
        if image_size is not None:
            channels, squeezed = _look_at(tree, layout.images(), on_item)
            shape = (image_size, image_size, channels)
            if squeezed:
                number = "1 image is" if squeezed == 1 else f"{squeezed:,} images are"
                have = "has" if squeezed == 1 else "have"
                notes.append(
                    f"{number} not square and {have} been squeezed to {image_size}x{image_size} "
                    "pixels."
                )
    except BaseException:
        tree.close()
        raise
    return Reading(
        "class folders" if list(layout.splits) == ["whole"] else "split folders",
        {
            split: _items(tree, layout.root, classes, names, shape)
            for split, classes in layout.splits.items()
        },
        names=names,
        notes=tuple(notes),
    )


def _names(layout: Layout, labels: str) -> tuple[str, ...]:
    """The class names in the order of their numbers."""
    folders = layout.classes
    names = (
        tuple(class_names.normal(name.strip()) for name in labels.split(",")) if labels else folders
    )
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--labels names {name!r} twice.")
    for folder in folders:
        if folder not in names:
            raise UserError(
                f"{layout.where(folder)} is a class that --labels does not list."
                f"{nearest(folder, names)} It lists: {', '.join(names)}."
            )
    for name in names:
        if name not in folders:
            raise UserError(
                f"--labels lists {name!r}, and there is no folder of that class."
                f"{nearest(name, folders)} There are: {', '.join(folders)}."
            )
    return names


def _look_at(tree: Tree, names: Sequence[str], on_item: Callable[[], None]) -> tuple[int, int]:
    """How many channels the images need together, and how many are not square; by their headers.

    What cannot be read is passed over: it is refused when its image is asked for.
    """
    channels, squeezed = 1, 0
    for name in names:
        with contextlib.suppress(UserError):
            data = image_files.read(tree, name)
            channels = max(channels, decoding.native_channels(data, tree.where(name)))
            width, height = decoding.native_size(data, tree.where(name))
            squeezed += width != height
        on_item()
    return channels, squeezed


def _items(
    tree: Tree,
    root: PurePosixPath,
    classes: Mapping[str, Sequence[str]],
    names: tuple[str, ...],
    shape: tuple[int, int, int] | None,
) -> list[Item]:
    return [
        Item(
            PurePosixPath(file).relative_to(root).as_posix(),
            names.index(name),
            _image(tree, file, shape),
            where=tree.where(file),
        )
        for name, files in classes.items()
        for file in files
    ]


def _image(tree: Tree, name: str, shape: tuple[int, int, int] | None) -> Callable[[], Image]:
    where = tree.where(name)

    def resized() -> Image:
        assert shape is not None
        return decoding.fitted(decoding.opened(image_files.read(tree, name), where), shape)

    def as_file() -> Image:
        data = image_files.read(tree, name)
        return data if data.startswith(_STORED) else _packed(data, where)

    return as_file if shape is None else resized


def _packed(data: bytes, where: str) -> bytes:
    """An image file of another format as PNG, which keeps every pixel."""
    channels = decoding.native_channels(data, where)
    pixels = decoding.decode(data, where, channels)
    file = io.BytesIO()
    PillowImage.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "PNG")
    return file.getvalue()
