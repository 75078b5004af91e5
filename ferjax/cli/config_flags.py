"""Error messages for `--config=FILE[:ARGS]` and its `--config.x.y=v` overrides.

ml_collections reports a missing file only when the config is read, and an unknown field as an
AttributeError or KeyError out of the parser; both would reach the user as a traceback.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from ferjax.errors import UserError, nearest


def check_files(flag_values: flags.FlagValues, argv: list[str]) -> None:
    """Raises a UserError if a `--config` of the command line names a file that does not exist."""
    for name, value in _configs(flag_values, argv):
        path = Path(value.split(":", 1)[0])
        if not path.is_file():
            siblings = [str(other) for other in path.parent.glob("*.py")]
            raise UserError(f"--{name}: there is no file '{path}'.{nearest(str(path), siblings)}")


def check_overrides(flag_values: flags.FlagValues, argv: list[str]) -> None:
    """Raises a UserError if an override of the command line names a field its config lacks."""
    for name, value in _configs(flag_values, argv):
        fields = list(_fields(flag_values[name].parser.parse(value)))
        for override in _overrides(name, argv):
            if override not in fields:
                hint = _same_leaf(override, fields) or nearest(override, fields)
                listing = f" Its fields are: {', '.join(sorted(fields))}."
                raise UserError(f"--{name} has no field {override!r}.{hint or listing}")


def unknown_flag_hint(flag_values: flags.FlagValues, flag_name: str, argv: list[str]) -> str:
    """A hint if an unknown flag looks like an override or a field of a config; else ""."""
    given = dict(_configs(flag_values, argv))
    prefix = flag_name.split(".", 1)[0]
    if "." in flag_name and prefix in flag_values and prefix not in given:
        return f" It changes a field of a config, and no config is given: add --{prefix}=FILE."
    for name in given:
        paths = [f"--{name}.{path}" for path in _fields(flag_values[name].value)]
        hint = _same_leaf(flag_name, paths)
        if hint:
            return hint
    return ""


def _configs(flag_values: flags.FlagValues, argv: list[str]) -> Iterator[tuple[str, str]]:
    """The config flags that the command line gives a value, with that value."""
    for name in flag_values:
        if flag_values[name].flag_type() == "config object":
            for index, argument in enumerate(argv):
                if re.match(rf"--?{re.escape(name)}=", argument):
                    yield name, argument.split("=", 1)[1]
                elif re.fullmatch(rf"--?{re.escape(name)}", argument) and index + 1 < len(argv):
                    yield name, argv[index + 1]


def _overrides(name: str, argv: list[str]) -> Iterator[str]:
    """The dotted paths that the command line sets, without the `[i]` of an element."""
    for argument in argv:
        match = re.match(rf"--?(?:no)?{re.escape(name)}\.([^=\[]+)", argument)
        if match:
            yield match[1]


def _fields(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """Every dotted path into a config, groups included."""
    # References are kept as such: a required field without a value cannot be read.
    for key, value in config.items(preserve_field_references=True):
        yield f"{prefix}{key}"
        if isinstance(value, ConfigDict):
            yield from _fields(value, f"{prefix}{key}.")


def _same_leaf(path: str, choices: list[str]) -> str:
    """The hint for a field that exists under the same last name in another group."""
    leaf = path.rsplit(".", 1)[-1]
    same = [choice for choice in choices if choice.rsplit(".", 1)[-1].removeprefix("--") == leaf]
    return f" Did you mean {same[0]!r}?" if same else ""
