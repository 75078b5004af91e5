"""Files of a tree that should be images: what they are is told by their content."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ferjax.data.images import decoding, kinds
from ferjax.data.prepare.faults import Fault
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError, some

_UNREADABLE = kinds.Kind("an unreadable file")


def has_name(name: str) -> bool:
    """Whether a file is meant to be an image, by its name."""
    return name.lower().endswith(kinds.EXTENSIONS)


def read(tree: Tree, name: str) -> bytes:
    """The content of a file that should be an image; a UserError says what it is instead."""
    data = tree.read(name)
    kind = kinds.of(data[: kinds.HEAD_BYTES])
    if not kind.is_image:
        raise Fault(
            f"{tree.where(name)} is not an image that can be read: it is {kind.name} "
            f"({len(data):,} bytes, beginning with {data[:8]!r}).",
            _about(kind),
        )
    return data


def read_square(tree: Tree, name: str, side: int, what: str, advice: str) -> bytes:
    """As `read`, and the image must be a square, by its header.

    Args:
      tree: what the file is in.
      name: its name.
      side: height and width in pixels.
      what: the kind of image that has this size.
      advice: a sentence on what to do about images of another size.
    """
    data = read(tree, name)
    width, height = decoding.native_size(data, tree.where(name))
    if (width, height) != (side, side):
        found = f"{tree.where(name)} has {width}x{height} pixels; {what} has {side}x{side}."
        raise Fault(found, advice)
    return data


def told_apart(tree: Tree, names: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Which files are images, and what the others are.

    Args:
      tree: what the files are in.
      names: theirs.

    Returns:
      The names of the images. One that has the name of an image and is none is among them: to read
      it raises a UserError. Then a note for the user about the other files, if there are any.
    """
    images: list[str] = []
    others: dict[kinds.Kind, list[str]] = {}
    for name in names:
        try:
            kind = kinds.of(tree.head(name))
        except UserError:
            kind = _UNREADABLE
        if kind.is_image or has_name(name):
            images.append(name)
        else:
            others.setdefault(kind, []).append(name)
    if not others:
        return images, ()
    groups = sorted(others.items(), key=lambda group: group[0].name)
    listing = "; ".join(f"{kind.counted(len(found))} ({some(found)})" for kind, found in groups)
    advices = [_about(kind) for kind, _ in groups if kind.advice]
    return images, (" ".join([f"Left out, since they are no images: {listing}.", *advices]),)


def unread(names: Iterable[str], used: Collection[str], where: str) -> tuple[str, ...]:
    """A note about files with the name of an image that a reader does not use, if there are any.

    Args:
      names: of all files.
      used: the names of those that the reader uses.
      where: where others are, as "outside the layout of RAF-DB".
    """
    known = set(used)
    rest = [name for name in names if has_name(name) and name not in known]
    if not rest:
        return ()
    number = f"{len(rest):,} image{'s' if len(rest) > 1 else ''}"
    return (f"Left out: {number} {where} ({some(rest)}).",)


def _about(kind: kinds.Kind) -> str:
    return f"About {kind.name}: {kind.advice}." if kind.advice else ""
