"""The `key=value,...` argument of a config, checked against what the config declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ferjax.cli.pairs import TRUTH, parse_pairs
from ferjax.errors import UserError, nearest, one_of


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a config.

    Attributes:
      default: its value when it is not given. A tuple takes a list joined by `+`.
      choices: the allowed values; empty for any of the type.
      type: type of the values; needed only if the default is None.
      only: other arguments, and the values of them with which this one has an effect.
      least: the smallest allowed number.
    """

    default: Any
    choices: tuple[Any, ...] = ()
    type: type | None = None
    only: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    least: int | None = None


def parse(text: str | None, arguments: Mapping[str, Argument]) -> dict[str, Any]:
    """Reads `key=value` pairs joined by commas.

    Args:
      text: what follows the colon in `--config=FILE.py:TEXT`; None or "" for all defaults. A bare
        key means true for a boolean argument.
      arguments: the arguments that exist, by key.

    Returns:
      A value for every argument.

    Raises:
      UserError: an unknown or repeated key, a value that is not allowed, or an argument that has no
        effect together with the others. The message lists what exists.
    """
    values = {key: argument.default for key, argument in arguments.items()}
    given = parse_pairs("The config's argument", text or "")
    for key, value in given.items():
        if key not in arguments:
            raise UserError(
                f"Unknown config argument {key!r}; the arguments are {', '.join(arguments)}."
                + nearest(key, arguments)
            )
        argument = arguments[key]
        if value is None:
            if not _is_bool(argument):
                raise UserError(f"The config argument {key!r} needs a value, as in {key}=...")
            value = "true"
        if not value or "" in value.split("+"):
            raise UserError(f"The config argument {key}={value} has an empty value; leave it out.")
        values[key] = _convert(key, value, argument)
    for key in given:
        _check_effect(key, values, arguments)
    return values


def check_count(key: str, values: Sequence[Any], count: int) -> None:
    """Raises a UserError unless a list joined by `+` has `count` entries."""
    if len(values) != count:
        raise UserError(
            f"The config argument {key}={_text(tuple(values))!r} has {len(values)} entries; "
            f"expected {count} here, as in {key}={'+'.join(['...'] * count)}."
        )


def refuse(key: str, why: str) -> NoReturn:
    """Raises a UserError for an argument without effect, which only its config can know."""
    raise UserError(f"The config argument {key!r} would do nothing here: {why}.")


def applies(key: str, values: Mapping[str, Any], arguments: Mapping[str, Argument]) -> bool:
    """Whether the argument `key` has an effect together with the others, given or by default."""
    return all(values[other] in allowed for other, allowed in arguments[key].only.items())


def _check_effect(key: str, values: Mapping[str, Any], arguments: Mapping[str, Argument]) -> None:
    for other, allowed in arguments[key].only.items():
        if values[other] in allowed:
            continue
        if allowed == (arguments[other].default,) and arguments[other].default in (None, (), ""):
            fix = f"give {key!r} or {other!r}, not both"
        else:
            fix = f"it needs {other}={' or '.join(map(_text, allowed))}"
        raise UserError(
            f"The config argument {key!r} would do nothing beside "
            f"{other}={_text(values[other])}: {fix}."
        )


def _text(value: Any) -> str:
    """A value in the form in which it is given."""
    if isinstance(value, tuple):
        return "+".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_bool(argument: Argument) -> bool:
    return (argument.type or type(argument.default)) is bool


def _convert(key: str, value: str, argument: Argument) -> Any:
    default, choices = argument.default, argument.choices
    if isinstance(default, tuple):
        item = dataclasses.replace(argument, default="")
        return tuple(_convert(key, part, item) for part in value.split("+"))
    if _is_bool(argument):
        if value.lower() not in TRUTH:
            raise UserError(f"The config argument {key} is {value!r}; expected true or false.")
        return TRUTH[value.lower()]
    kind = argument.type or type(default)
    try:
        converted = kind(value)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise UserError(f"The config argument {key} is {value!r}; expected {expected}.") from None
    if argument.least is not None and converted < argument.least:
        raise UserError(
            f"The config argument {key}={value!r} is too small; expected at least {argument.least}."
        )
    if choices:
        one_of(f"The config argument {key}", converted, choices)
    return converted
