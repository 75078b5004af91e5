"""The names of the files of CK+, which say who is shown, in which sequence, at which frame."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError

_STEM = re.compile(r"(S\d+)_(\d+)_(\d+)", re.IGNORECASE | re.ASCII)


class Frame(NamedTuple):
    """One frame: the subject (such as S005), the sequence (such as 001), and the frame's number."""

    subject: str
    sequence: str
    number: int


def frame_of(name: str, ending: str) -> Frame | None:
    """The frame of a file (S005_001_00000011.png if `ending` is .png), or None for other names."""
    file = name.split("/")[-1]
    if not file.lower().endswith(ending):
        return None
    match = _STEM.fullmatch(file[: -len(ending)])
    return Frame(match[1].upper(), match[2], int(match[3])) if match else None


def by_frame(tree: Tree, names: Iterable[str], ending: str) -> dict[Frame, str]:
    """The file of each frame; a UserError names two files of one frame."""
    found: dict[Frame, str] = {}
    for name in names:
        frame = frame_of(name, ending)
        if frame is None:
            continue
        if frame in found:
            raise UserError(
                f"{tree.where(name)} and {tree.where(found[frame])} are of the same frame: the "
                "source must hold CK+ once."
            )
        found[frame] = name
    return found
