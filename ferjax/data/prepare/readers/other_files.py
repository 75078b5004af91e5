"""What to do about a file that is of another kind than it should be."""

from __future__ import annotations

from ferjax.data.images import kinds
from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

# What a table may be by its first bytes: text in another encoding is told when it is read.
_TABLES = ("a text file", kinds.UNKNOWN.name)
_PAGE = "a web page"


def advice(head: bytes) -> str:
    """What to do about a file that is no image, by its first bytes, as a sentence; "" for others.

    Args:
      head: its first `kinds.HEAD_BYTES` bytes, or all of it.
    """
    kind = kinds.of(head)
    if kind.is_image:
        return ""
    if kind.name == _PAGE:
        return (
            "Download the file itself: a site may send a page in its place, for example to those "
            "who are not signed in."
        )
    if kind == kinds.EMPTY:
        return "Take the file from your copy again, or download it again."
    return f"{kind.advice[0].upper()}{kind.advice[1:]}." if kind.advice else ""


def check_table(tree: Tree, name: str, title: str) -> None:
    """Raises a UserError if a file that should be a table is of another kind.

    Args:
      tree: what the file is in.
      name: its name.
      title: what it should be.
    """
    head = tree.head(name)
    kind = kinds.of(head)
    if kind.name not in _TABLES:
        raise UserError(
            f"{tree.where(name)} is not {title}: it is {kind.name} (it begins with {head[:8]!r}). "
            f"{advice(head)}".rstrip()
        )
