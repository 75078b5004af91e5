"""The table of fields that people read is the table of fields that configs are held against."""

import pytest

from ferjax.config import fields, table
from ferjax.errors import UserError


def test_the_readme_has_the_table(repository):
    text = (repository / "configs" / "README.md").read_text()
    assert text == table.replaced(text), "run python -m ferjax.config.table configs/README.md"
    assert len(text.splitlines()) <= 300
    for path in fields.FIELDS:
        assert f"\n| `{path}` | " in text


def test_the_readme_names_every_config(repository):
    text = (repository / "configs" / "README.md").read_text()
    for path in (repository / "configs").rglob("*.*"):
        if path.suffix in (".py", ".toml"):
            assert f"`{path.relative_to(repository / 'configs')}`" in text


def test_the_command_replaces_what_is_between_the_marks(tmp_path, capsys):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    assert table.main([str(file)]) == 0
    assert file.read_text() == f"before\n{table.BEGIN}\n{table.table()}\n{table.END}\nafter\n"
    assert table.main([]) == 2 and "Name the one file" in capsys.readouterr().err


def test_a_file_without_a_place_for_the_table_is_refused(tmp_path):
    for text in ("nothing", f"{table.BEGIN} only"):
        with pytest.raises(UserError, match="has no place for the table"):
            table.replaced(text)
