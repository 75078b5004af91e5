"""Files under one roof, read by name, whatever holds them."""

import io
from abc import ABC, abstractmethod
from pathlib import Path

from ferjax.errors import one_line, some


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
    def head(self, name: str) -> bytes:
        """The first bytes of one file, which tell its kind (see `data.images.kinds`)."""

    @abstractmethod
    def open_text(self, name: str) -> io.TextIOWrapper:
        """One file as UTF-8 text, to be read line by line."""

    def notes(self) -> tuple[str, ...]:
        """A sentence about the files that `hidden` returns, if there are any, for the user."""
        found = self.hidden()
        if not found:
            return ()
        number = f"{len(found):,} hidden file{'s are' if len(found) > 1 else ' is'}"
        why = "a part of the path begins with a dot"
        return (f"{number} left out ({some(found)}): {why}.",)

    def is_guessed(self, name: str) -> bool:
        """Whether it is not known for sure how the name of a file is spelled."""
        del name
        return False

    def where(self, name: str) -> str:
        """How to call a file in a message."""
        return one_line(f"{self.path}/{name}")

    def close(self) -> None:  # noqa: B027 - a folder has nothing to close
        """Ends the reading."""
