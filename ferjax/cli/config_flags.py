"""The flags `--config=FILE[:ARGUMENTS]` and `--config.x.y=v`, and their error messages.

ml_collections runs the file at every look at it, reports a missing one only when the config is
read, and an unknown field as an AttributeError or KeyError out of the parser. Here the file is read
once, looked at, and run once, from the text that was looked at.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_collections.config_flags
from absl import flags
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import local_files, refusals
from ferjax.errors import UserError, nearest

_EXPECTED = "expected a Python file with a function get_config, as those in configs/"


def define(name: str, meaning: str, *, flag_values: flags.FlagValues) -> None:
    """Defines `--NAME=FILE[:ARGUMENTS]` and, once it is given, `--NAME.x.y=v` for its fields."""
    ml_collections.config_flags.DEFINE_config_file(name, None, meaning, flag_values=flag_values)
    flag_values[name].parser = _Parser(name)


def given_file(flag: flags.Flag) -> str:
    """The path of the file that a flag of `define` was given, or ""."""
    return "" if flag.value is None else _parser_of(flag).path


def check_order(flag_values: flags.FlagValues, argv: list[str]) -> None:
    """Raises a UserError if the command line gives a `--config` after its fields."""
    for name, _ in _configs(flag_values, argv):
        one = next(
            argument for argument in argv if re.match(rf"--?(no)?{name}[.=]|--?{name}$", argument)
        )
        if re.match(rf"--?(no)?{name}\.", one):
            raise UserError(f"{one} comes before --{name}, which it changes; give --{name} first.")


def load(path: str, what: str) -> Callable[..., Any]:
    """The function get_config of a file, which is run.

    Args:
      path: of the file.
      what: what names it, such as "--config".

    Raises:
      UserError: it is not there, is no regular file, no Python, or has no get_config, and then none
        of it has run; or it raises something itself.
    """
    code = _checked(path, what)
    module = types.ModuleType("ferjax_config")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses look for their module there
    with running(path, what):
        exec(code, module.__dict__)
        return module.get_config
    raise AssertionError("a function was returned or an error raised")


def made(get_config: Callable[..., Any], path: str, what: str, *arguments: str) -> ConfigDict:
    """The config that a function of `load` makes of its arguments, locked.

    Raises:
      UserError: it raises something, or returns something else; `what` names who asked for it.
    """
    with running(path, what):
        config = get_config(*arguments)
    if isinstance(config, FrozenConfigDict):
        config = ConfigDict(config)  # for its fields to be overridden
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"{what}: get_config of {path} returns {kind}; expected ConfigDict.")
    with running(path, what):
        config.lock()  # a required field without a value raises here
    return config


class _Parser(flags.ArgumentParser):
    """Makes the config of `--NAME=FILE[:ARGUMENTS]`.

    Attributes:
      path: of the file that was given last; "" before.
      config: the config that it made, or None.
    """

    def __init__(self, name: str):
        super().__init__()
        self._what = f"--{name}"
        self.path = ""
        self.config: ConfigDict | None = None

    def parse(self, argument: str) -> ConfigDict:
        """The config, locked."""
        self.path, *arguments = argument.split(":", 1)
        self.config = None
        get_config = load(self.path, self._what)
        self.config = made(get_config, self.path, self._what, *arguments)
        return self.config

    def flag_type(self) -> str:
        """The name by which ml_collections and `_configs` know such a flag."""
        return "config object"


def _parser_of(flag: flags.Flag) -> _Parser:
    assert isinstance(flag.parser, _Parser), f"--{flag.name} is no flag of `define`"
    return flag.parser


def _checked(path: str, what: str) -> types.CodeType:
    """The code of a config, of which nothing has run; raises as `load` does."""
    try:
        source = local_files.read(path)
    except FileNotFoundError as error:
        place = Path(path)
        if place.is_symlink():
            raise UserError(f"{what}: {path} cannot be read ({refusals.problem(error)}).") from None
        siblings = [str(other) for other in place.parent.glob("*.py")]
        hint = nearest(path, siblings)
        raise UserError(f"{what}: there is no file '{path}'.{hint}") from None
    except OSError as error:
        raise UserError(
            f"{what}: {path} cannot be read ({refusals.problem(error)}); {_EXPECTED}."
        ) from None
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        at = f" (line {line})" if line else ""
        raise UserError(f"{what}: {path} is no Python file{at}; {_EXPECTED}.") from None
    if "get_config" not in set(_bound(tree)):
        hint = " To go on with a run, repeat its command." if path.endswith(".json") else ""
        raise UserError(f"{what}: {path} is no config; {_EXPECTED}.{hint}")
    return code


@contextlib.contextmanager
def running(path: str, what: str) -> Iterator[None]:
    """Turns what a config raises in the block into a UserError; its own UserErrors stay."""
    try:
        yield
    except (UserError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # such as a SystemExit
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
    for name, _ in _configs(flag_values, argv):
        config = _parser_of(flag_values[name]).config
        if config is None:
            continue
        fields = list(_fields(config))
        for override, element in _overrides(name, argv):
            if override not in fields:
                hint = _same_leaf(override, fields) or nearest(override, fields)
                listing = f" Its fields are: {', '.join(sorted(fields))}."
                raise UserError(f"--{name} has no field {override!r}.{hint or listing}")
            if element:
                raise UserError(
                    f"--{name}.{override}{element} names a part of a field; give the field whole, "
                    f"as --{name}.{override}=..."
                )


def unknown_flag_hint(flag_values: flags.FlagValues, flag_name: str, argv: list[str]) -> str:
    """A hint if an unknown flag looks like an override or a field of a config; else ""."""
    given = {name for name, _ in _configs(flag_values, argv)}
    prefix = flag_name.split(".", 1)[0]
    if "." in flag_name and prefix in flag_values and prefix not in given:
        return f" It changes a field of a config, and no config is given: add --{prefix}=FILE."
    for name in sorted(given):
        config = flag_values[name].value
        if config is None:
            continue
        paths = [f"--{name}.{path}" for path in _fields(config)]
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


def _overrides(name: str, argv: list[str]) -> Iterator[tuple[str, str]]:
    """The dotted paths that the command line sets, and the `[i]` of an element."""
    for argument in argv:
        match = re.match(rf"--?(?:no)?{re.escape(name)}\.([^=\[]*)([^=]*)", argument)
        if match:
            yield match[1], match[2]


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
