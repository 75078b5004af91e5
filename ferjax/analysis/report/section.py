"""A section of a report: its texts, figures, tables and pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

from ferjax.analysis.figures.canvas import Figure


@dataclasses.dataclass
class Section:
    """One section.

    `folded` are tables that are seen when they are asked for; `groups` have a title and tiles,
    pictures with words; `code` has titles, texts, and whether they are seen at once.
    """

    key: str
    title: str
    texts: list[str] = dataclasses.field(default_factory=list)
    figures: list[Figure] = dataclasses.field(default_factory=list)
    tables: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    folded: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    groups: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    code: list[tuple[str, str, bool]] = dataclasses.field(default_factory=list)
