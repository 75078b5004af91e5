"""A table of texts that is printed on a terminal or written as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.table import Table

from ferjax.cli import tables
from ferjax.errors import one_line


@dataclasses.dataclass
class TextTable:
    """Rows of cells; `add` appends one.

    Attributes:
      title: stands above.
      columns: their heads.
      names: so many columns on the left hold names; the others hold figures.
      rows: the cells.
    """

    title: str
    columns: Sequence[str]
    names: int = 1
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Appends a row, which has a cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    def rich(self) -> Table:
        """The table for a terminal."""
        made = tables.plain_table(self.title, self.columns, names=self.names)
        for cells in self.rows:
            tables.add_row(made, *cells)
        return made

    def markdown(self) -> str:
        """The table in Markdown, below its title."""
        lines = [f"**{_escaped(self.title)}**", "", _line(self.columns)]
        lines.append(
            _line(["---" if at < self.names else "---:" for at in range(len(self.columns))])
        )
        return "\n".join([*lines, *map(_line, self.rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    return one_line(text).replace("|", "\\|")
