"""CK+: the sequences of the official release, or the folder of faces known as CK+48."""

from collections.abc import Callable
from pathlib import Path

from ferjax.data.prepare.items import Reading
from ferjax.data.prepare.readers import ck_extended, csv_files, image_files, own_images, trees
from ferjax.data.prepare.readers.ck_plus import ck_48, faces, sequences
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, some


def read(
    path: Path,
    on_item: Callable[[], None] = lambda: None,
    *,
    image_size: int | None = None,
) -> Reading:
    """Finds the labelled faces of CK+; images are read when they are asked for.

    Args:
      path: an existing folder or zip. What is looked for may lie in any folder below it.
      on_item: called after each face that is found.
      image_size: height and width of the faces that are cropped from the frames of the official
        release, 128 if None. Not for CK+48, whose faces are stored as the files that they are.

    Returns:
      A reading with the one split "whole". Faces of the official release are uint8
      [image_size, image_size, 1]: a few of its frames have colours, which become grey as the others
      are. Notes say how many sequences have no label.

    Raises:
      UserError: the source is not CK+ in a known form, or something in it is missing or damaged.
        How many faces there are is not checked here.
    """
    if path.is_file() and not trees.is_zip(path):
        _refuse_table(trees.FolderTree(path.parent), path.name)
    tree = trees.opened(path)
    names = tree.names()
    kind = "folder" if path.is_dir() else "zip"
    if sequences.is_layout(names):
        size = faces.check_size(image_size)
        items, notes = sequences.read(tree, names, size, on_item)
        more = image_files.unread(names, sequences.frames(names), "without the name of a frame")
        notes = (*notes, *tree.notes())
        return Reading(f"sequences, {kind}", {"whole": items}, notes=notes, remarks=more)
    if ck_48.is_layout(names):
        if image_size is not None:
            raise UserError(
                f"--image_size={image_size} is for the official release of CK+, whose faces are "
                f"cropped; {path} is CK+48, whose faces have 48x48 pixels. Leave it out; training "
                "resizes images by its own config."
            )
        items = ck_48.read(tree, names, on_item)
        more = image_files.unread(names, [item.key for item in items], "of another format than PNG")
        return Reading(f"CK+48, {kind}", {"whole": items}, notes=tree.notes(), remarks=more)
    for name in names:
        if name.lower().endswith(".csv"):
            _refuse_table(tree, name)
    examples = some(names) or "no file at all"
    raise UserError(
        f"{path} is not CK+: expected cohn-kanade-images/S005/001/S005_001_00000011.png and so on "
        "with the folders Emotion and Landmarks beside cohn-kanade-images, or CK+48 "
        f"(happy/S010_006_00000013.png and so on); found {len(names)} files ({examples})."
        f"{own_images.advice(tree, names)}"
    )


def _refuse_table(tree: Tree, name: str) -> None:
    if ck_extended.looks_like(csv_files.columns(tree, name)):
        raise UserError(
            f"{tree.where(name)} is a table, and CK+ consists of files of images. If it is "
            f"FER2013, prepare it with --dataset=fer2013. {ck_extended.ABOUT}"
        )
