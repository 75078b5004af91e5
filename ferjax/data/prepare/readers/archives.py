"""Archives that are still packed: what they are, and how they are unpacked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from ferjax.data.images import kinds
from ferjax.errors import UserError, one_line, some

_TAR_NAME = re.compile(r"\.(tar\.\w+|t[bgx]z2?)$", re.IGNORECASE)
# What unpacks an archive by the name of its kind. The first four hold one file, or a tar, which
# their name tells.
_COMMANDS = {
    "a gzip archive": "gunzip",
    "a bzip2 archive": "bunzip2",
    "an xz archive": "unxz",
    "a zstd archive": "unzstd",
    "a tar archive": "tar -xf",
    "a RAR archive": "unrar x",
    "a 7-Zip archive": "7z x",
}
_NAME = re.compile(r"\.(tar\.\w+|t[bgx]z2?)$", re.IGNORECASE)
# Where it is and what it is that tells an archive, how to call it, and what unpacks it. The first
# four hold one file, or a tar, which their name tells.
_OTHERS = (
    (0, b"\x1f\x8b", "a gzip", "gunzip"),
    (0, b"BZh", "a bzip2", "bunzip2"),
    (0, b"\xfd7zXZ\0", "an xz", "unxz"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd", "unzstd"),
    (257, b"ustar", "a tar", "tar -xf"),
    (0, b"Rar!\x1a\x07", "a RAR", "unrar x"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip", "7z x"),
)
_NAME = re.compile(r".+\.(zip|rar|7z|tar|tar\.\w+|t[bgx]z2?|gz|bz2|xz|zst)", re.IGNORECASE)
# What lies beside an archive and is no part of a data set.
_PAPER = re.compile(r"(.*/)?((readme|license)[^/]*|[^/]+\.(md|pdf|html?))", re.IGNORECASE)


def refuse(path: Path, first: bytes) -> None:
    """Raises a UserError for an archive that is no zip, which its first bytes tell."""
    kind = kinds.of(first).name
    command = _COMMANDS.get(kind)
    if command is None:
        return
    if _TAR_NAME.search(path.name):
        command = "tar -xf"
    found = "the folder" if " " in command else "what it holds"
    raise UserError(
        f"{path} is {kind}: unpack it ({command} {shlex.quote(str(path))}) and pass {found}."
    )


def refuse_packed(path: Path, names: Sequence[str]) -> None:
    """Raises a UserError for a source that holds archives alone.

    Args:
      path: the folder or zip.
      names: of all files in it.
    """
    packed = [name for name in names if _NAME.fullmatch(name)]
    if not packed or not all(name in packed or _PAPER.fullmatch(name) for name in names):
        return
    number = "an archive" if len(packed) == 1 else f"{len(packed):,} archives"
    said = f"{path} holds {number} and nothing else ({some(packed)})"
    if len(packed) > 1:
        raise UserError(f"{said}: unpack them into one folder, and pass that.")
    if path.is_dir() and packed[0].lower().endswith(".zip"):
        inside = shlex.quote(one_line(path / packed[0]))
        raise UserError(f"{said}: pass it, with --source={inside}.")
    raise UserError(f"{said}: unpack {one_line(packed[0])}, and pass what it holds.")
