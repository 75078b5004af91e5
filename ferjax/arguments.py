"""The `key=value,...` argument of a config, checked against what the config declares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ferjax.errors import UserError, nearest

_BOOLS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclasses.dataclass(frozen=True)
class Argument:
    """One argument of a config.

    Attributes:
      default: its value when it is not given. A tuple takes a list joined by `+`.
      choices: the values that exist; empty for any of the type.
      type: type of the values; that of the default unless the default is None.
    """

    default: Any
    choices: tuple[Any, ...] = ()
    type: type | None = None


def parse(text: str | None, arguments: Mapping[str, Argument]) -> dict[str, Any]:
    """Reads `key=value` pairs joined by commas.

    Args:
      text: what follows the colon in `--config=FILE.py:TEXT`; None or "" for all defaults. A bare
        key means true for a boolean argument.
      arguments: the arguments that exist, by key.

    Returns:
      A value for every argument.

    Raises:
      UserError: an unknown or repeated key or a value that does not fit, with what exists.
    """
    values = {key: argument.default for key, argument in arguments.items()}
    seen = set()
    for part in (text or "").split(","):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in arguments:
            raise UserError(
                f"Unknown config argument {key!r}; the arguments are {', '.join(arguments)}."
                + nearest(key, arguments)
            )
        if key in seen:
            raise UserError(f"The config argument {key!r} is given twice; give it once.")
        seen.add(key)
        argument = arguments[key]
        if not equals:
            if not isinstance(argument.default, bool):
                raise UserError(f"The config argument {key!r} needs a value, as in {key}=...")
            value = "true"
        values[key] = _convert(key, value, argument)
    return values


def _convert(key: str, value: str, argument: Argument) -> Any:
    default, choices = argument.default, argument.choices
    if isinstance(default, tuple):
        item = dataclasses.replace(argument, default="")
        return tuple(_convert(key, part, item) for part in value.split("+"))
    if isinstance(default, bool):
        if value.lower() not in _BOOLS:
            raise UserError(f"The config argument {key}={value!r} is not true or false.")
        return _BOOLS[value.lower()]
    kind = argument.type or type(default)
    try:
        converted = kind(value)
    except ValueError:
        raise UserError(f"The config argument {key}={value!r} is not a {kind.__name__}.") from None
    if choices and converted not in choices:
        names = [str(choice) for choice in choices]
        raise UserError(
            f"The config argument {key}={value!r} does not exist; expected one of "
            f"{', '.join(names)}.{nearest(value, names)}"
        )
    return converted
