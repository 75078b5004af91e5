"""Small text files in a tree, with errors that name the file."""

from ferjax.data.prepare.readers.tree import Tree
from ferjax.errors import UserError


def lines(tree: Tree, name: str) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, each after its number from 1.

    Raises:
      UserError: it cannot be read, or is no text.
    """
    try:
        text = tree.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{tree.where(name)} is not a text file ({error}): take it from your copy again."
        ) from None
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
