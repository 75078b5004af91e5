"""Error messages for `--config=FILE[:ARGS]` and its `--config.x.y=v` overrides.

ml_collections reports a missing file only when the config is read, and an unknown field as an
AttributeError or KeyError out of the parser; both would reach the user as a traceback.
"""

import ast
import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import local_files
from ferjax.errors import UserError, nearest

_EXPECTED = "expected a Python file with a function get_config, as those in configs/"


def check_files(flag_values: flags.FlagValues, argv: list[str]) -> None:
    """Raises a UserError if a `--config` of the command line names no config, or one that fails."""
    for name, value in _configs(flag_values, argv):
        path = value.split(":", 1)[0]
        check_file(path, f"--{name}")
        with running(path, f"--{name}"):
            config = flag_values[name].parser.parse(value)
        if not isinstance(config, ConfigDict | FrozenConfigDict):
            kind = type(config).__name__
            raise UserError(f"--{name}: get_config of {path} returns {kind}; expected ConfigDict.")


def check_file(path: str, what: str) -> None:
    """Refuses what is no config before any of it runs.

    Args:
      path: of the file.
      what: what names it, as "--config".

    Raises:
      UserError: it is not there, is no regular file, no Python, or has no get_config.
    """
    try:
        source = local_files.read(path)
    except FileNotFoundError as error:
        place = Path(path)
        if place.is_symlink():
            raise UserError(
                f"{what}: {path} cannot be read ({local_files.problem(error)})."
            ) from None
        siblings = [str(other) for other in place.parent.glob("*.py")]
        hint = nearest(path, siblings)
        raise UserError(f"{what}: there is no file '{path}'.{hint}") from None
    except OSError as error:
        raise UserError(
            f"{what}: {path} cannot be read ({local_files.problem(error)}); {_EXPECTED}."
        ) from None
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        at = f" (line {line})" if line else ""
        raise UserError(f"{what}: {path} is no Python file{at}; {_EXPECTED}.") from None
    if "get_config" not in set(_bound(tree)):
        hint = " To go on with a run, repeat its command." if path.endswith(".json") else ""
        raise UserError(f"{what}: {path} is no config; {_EXPECTED}.{hint}")


@contextlib.contextmanager
def running(path: str, what: str) -> Iterator[None]:
    """Turns what a config raises in the block into a UserError; its own UserErrors stay."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{what}: {_failure(path, error)}") from None


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that a module may give a value, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            name = node.asname or node.name
            yield "get_config" if name == "*" else name


def _failure(path: str, error: BaseException) -> str:
    """What a config raised, and at which of its lines."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == Path(path)
    ]
    at = f", line {lines[-1]}" if lines else ""
    # ml_collections puts the traceback of some errors into their message, the error last.
    said = (str(error).strip().splitlines() or [""])[-1]
    kind = type(error).__name__
    told = said if said.startswith(kind) else f"{kind}: {said}".removesuffix(": ")
    return f"the config {path}{at} cannot be run ({told[:300]}); mend the file or its arguments."


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
