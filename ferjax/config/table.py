"""The table of all fields in configs/README.md, made from `fields`.

python -m ferjax.config.table configs/README.md    replaces the table between the two marks
"""

from __future__ import annotations

import sys
from pathlib import Path

from ferjax.config.fields import FIELDS, MODEL_NUMBERS
from ferjax.config.rules import Field
from ferjax.errors import UserError, explain

BEGIN = "<!-- fields: begin -->"
END = "<!-- fields: end -->"


def table() -> str:
    """The fields in Markdown, one a row: name, default, what is allowed, meaning."""
    fields = {**FIELDS, **MODEL_NUMBERS}
    rows = [
        f"| `{path}` | {_default(field)} | {_cell(field.rule.allowed)} | {_cell(field.meaning)} |"
        for path, field in fields.items()
    ]
    return "\n".join(
        ["| field | default | allowed | meaning |", "| --- | --- | --- | --- |", *rows]
    )


def replaced(text: str) -> str:
    """The text with the current table between its two marks.

    Raises:
      UserError: a mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"The file has no place for the table; put {BEGIN} and {END} there.")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def _default(field: Field) -> str:
    if field.default is None:
        return "the model's"
    return f"`{field.default:.4g}`" if type(field.default) is float else f"`{field.default!r}`"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def main(arguments: list[str]) -> int:
    """Puts the table into the file that the arguments name; returns an exit code."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        return explain(UserError("Name the one file that has the table: configs/README.md."))
    path = Path(arguments[0])
    try:
        path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")
    except UserError as error:
        return explain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
