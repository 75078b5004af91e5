"""What lies below a folder, and what of it is hidden and therefore left out.

Hidden is what has a part of its path that begins with a dot; what macOS and Windows add is not even
counted. Names are relative to the folder that was given, with forward slashes.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

_OF_THE_SYSTEM = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


def below(folder: Path, on_error: Callable[[OSError], object]) -> tuple[list[str], list[str]]:
    """All files and all folders below a folder; `on_error` is called for those not listed."""
    files, folders = [], []
    for where, folders_here, files_here in os.walk(folder, onerror=on_error):
        relative = Path(where).relative_to(folder)
        folders += [(relative / name).as_posix() for name in folders_here]
        files += [(relative / name).as_posix() for name in files_here]
    return files, folders


def visible(names: Iterable[str]) -> list[str]:
    """Those of files and folders that are read, sorted."""
    return sorted(name for name in names if not _is_left_out(name))


def hidden(names: Iterable[str]) -> list[str]:
    """Those that `visible` leaves out, but for what macOS and Windows add, sorted."""
    return sorted(name for name in names if _is_left_out(name) and not _is_of_the_system(name))


def _is_left_out(name: str) -> bool:
    return any(part.startswith(".") or part in _OF_THE_SYSTEM for part in name.split("/"))


def _is_of_the_system(name: str) -> bool:
    return any(part in _OF_THE_SYSTEM for part in name.split("/"))
