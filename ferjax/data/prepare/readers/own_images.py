"""Images of one's own that are given as a published data set: how to prepare them instead."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ferjax.data.labels import emotion_of
from ferjax.data.prepare.readers import image_files
from ferjax.data.prepare.readers.tree import Tree


def command(tree: Tree, name: str) -> str:
    """The command that prepares a source as images of one's own, which it calls `name`."""
    return (
        f"python -m ferjax.data.prepare --dataset=image_folder --name={name} "
        f"--source={shlex.quote(str(tree.path))}"
    )


def in_classes(names: Sequence[str]) -> list[str]:
    """The files with names of images that lie directly in a folder of an emotion."""
    return [
        name
        for name in names
        if image_files.has_name(name) and emotion_of(("/" + name).split("/")[-2])
    ]


def advice(tree: Tree, names: Sequence[str]) -> str:
    """A sentence with a space before it, if images lie in folders of emotions; else "".

    Args:
      tree: the source.
      names: of all files in it.
    """
    number = len(in_classes(names))
    if not number:
        return ""
    images = "1 image lies" if number == 1 else f"{number:,} images lie"
    return (
        f" {images} in folders of classes: if they are your own images, prepare them with\n"
        f"  {command(tree, 'mine')}"
    )
