"""Files under one roof, read by name, whatever holds them."""

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from ferjax.errors import one_line

_OF_THE_SYSTEM = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


class Tree(ABC):
    """Named files that can be read one by one; names are relative, with forward slashes."""

    def __init__(self, path: Path):
        self.path = path

    @abstractmethod
    def names(self) -> list[str]:
        """All files, sorted, without hidden ones and those that macOS and Windows add."""

    @abstractmethod
    def folders(self) -> list[str]:
        """All folders, empty ones too, sorted, without hidden ones."""

    @abstractmethod
    def hidden(self) -> list[str]:
        """All files that `names` leaves out, but for those that macOS and Windows add."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The content of one file."""

    @abstractmethod
    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as UTF-8 text, to be read line by line."""

    def where(self, name: str) -> str:
        """How to call a file in a message."""
        return one_line(f"{self.path}/{name}")

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Ends the reading."""


def visible(names: Iterable[str]) -> list[str]:
    """Those of files and folders that are read, sorted."""
    return sorted(name for name in names if not _is_left_out(name))


def _is_left_out(name: str) -> bool:
    return any(part.startswith(".") or part in _OF_THE_SYSTEM for part in name.split("/"))


def hidden(names: Iterable[str]) -> list[str]:
    """Those that `visible` leaves out, but for what macOS and Windows add, sorted."""
    return sorted(
        name
        for name in names
        if _is_left_out(name) and not any(part in _OF_THE_SYSTEM for part in name.split("/"))
    )
