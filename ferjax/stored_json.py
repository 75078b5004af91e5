"""JSON that comes back: parsed with limits, and held against a schema.

`filesystem.read_json` reads a file by it.

What is read may have been damaged or made by a stranger. A schema is made of the types that JSON
has: str, int, float, bool, None, Any, list[...], dict[str, ...], Literal, unions of them, and
TypedDict for an object with known keys. A key that an older version did not write is NotRequired.
Keys that a schema does not name are let pass: a newer version may write them. `Annotated` adds a
`Rule`, as a range.

Unlike Python's own reader this one refuses NaN, Infinity, numbers beyond float64, a key that occurs
twice, and deep nesting.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
import types
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

MOST_BYTES = 16 << 20
MOST_LEVELS = 64
_MOST = 2**53  # up to which float64 holds every whole number
_SHOWN = 60  # characters of a value in a message
_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class Unfit(ValueError):
    """JSON that is not what it should be. The text follows the name of a file."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value of the right type must satisfy.

    Attributes:
      holds: whether it does.
      expected: what it must be, as it follows "expected".
    """

    holds: Callable[[Any], bool]
    expected: str


def between(least: int | float, most: int | float) -> Rule:
    """The rule of a number from `least` to `most`."""
    return Rule(lambda value: least <= value <= most, f"a number from {least} to {most}")


def whole(least: int, most: int = _MOST) -> Rule:
    """The rule of a whole number from `least` to `most`."""
    ends = f"of at least {least}" if most == _MOST else f"from {least} to {most}"
    return Rule(lambda value: least <= value <= most, f"a whole number {ends}")


Share = Annotated[float, between(0, 1)]
Count = Annotated[int, whole(0)]
Sha256 = Annotated[
    str,
    Rule(lambda text: len(text) == 64 and not set(text) - set("0123456789abcdef"), "64 hex digits"),
]
Labels = Annotated[
    list[str],
    Rule(
        lambda names: 0 < len(names) == len(set(names)) and all(name.strip() for name in names),
        "class names, none of them empty or there twice",
    ),
]
Object = dict[str, Any]


def parse(data: bytes, most_bytes: int = MOST_BYTES) -> Any:
    """The value of strict JSON in UTF-8.

    Raises:
      Unfit: it is none, is nested deeper than `MOST_LEVELS`, or has more than `most_bytes`.
    """
    if len(data) > most_bytes:
        raise Unfit(f"is damaged (it has more than the {most_bytes:,} bytes that such a file can)")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise Unfit(f"is damaged (nested deeper than {MOST_LEVELS} levels)") from None
    except ValueError as error:
        raise Unfit(f"is damaged ({str(error).partition(';')[0]})") from None
    _check_plain(value)
    return value


def check(value: Any, schema: Any, path: str = "") -> Any:
    """Returns a value of JSON that fits the schema.

    Args:
      value: as `parse` returns it.
      schema: see the head of this file.
      path: the key that leads to it.

    Raises:
      Unfit: it does not; the text names the key, what was found, and what is expected.
    """
    _check(value, schema, path, "")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {_shown(twice)} is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def _check_plain(value: Any) -> None:
    """Refuses deep nesting, and numbers that are infinite in float64."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise Unfit(f"is damaged (nested deeper than {MOST_LEVELS} levels)")
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below.extend(one.values())
            elif isinstance(one, list):
                below.extend(one)
            elif isinstance(one, float) and not math.isfinite(one):
                raise Unfit("is damaged (a number is beyond the range of float64)")
        level = below


def _check(value: Any, kind: Any, path: str, expected: str) -> None:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin is Annotated:
        inner, *rules = arguments
        for rule in rules:
            _check(value, inner, path, rule.expected)
            if not rule.holds(value):
                raise _unfit(value, path, rule.expected)
    elif origin in (Union, types.UnionType):
        _check_union(value, arguments, path, expected or _words(kind))
    elif is_typeddict(kind):
        _check_keys(value, kind, path)
    elif origin is dict:
        _require(isinstance(value, dict), value, path, expected or _words(kind))
        for key, item in value.items():
            _check(item, arguments[1], _join(path, key), "")
    elif origin is list:
        # What has not been written yet may have a tuple.
        _require(isinstance(value, list | tuple), value, path, expected or _words(kind))
        for number, item in enumerate(value):
            _check(item, arguments[0], f"{path}[{number}]", "")
    elif origin is Literal:
        fits = any(value == one and type(value) is type(one) for one in arguments)
        _require(fits, value, path, expected or _words(kind))
    else:
        _require(_is(value, kind), value, path, expected or _words(kind))


def _is(value: Any, kind: Any) -> bool:
    """Whether a value has a plain type; true is no number, and a whole number is a number."""
    if kind is float:
        limit = sys.float_info.max
        return type(value) in (int, float) and -limit <= value <= limit
    return value is None if kind in (None, type(None)) else type(value) is kind


def _check_keys(value: Any, kind: Any, path: str) -> None:
    _require(isinstance(value, dict), value, path, "an object")
    for key, wanted, required in _keys(kind):
        if key in value:
            _check(value[key], wanted, _join(path, key), "")
        elif required:
            raise Unfit(f"has no field {_join(path, key)!r}, expected {_words(wanted)}")


def _check_union(value: Any, kinds: tuple[Any, ...], path: str, expected: str) -> None:
    if value is None and type(None) in kinds:
        return
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1:  # what is wrong inside says more
        _check(value, others[0], path, "" if isinstance(value, dict | list) else expected)
        return
    for kind in others:
        try:
            return _check(value, kind, path, "")
        except Unfit:
            continue
    raise _unfit(value, path, expected)


@functools.cache
def _keys(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """(key, type, whether it must be there) of a TypedDict."""
    # Not __required_keys__, which is wrong where annotations are strings.
    return tuple(
        (key, *((get_args(hint)[0], False) if get_origin(hint) is NotRequired else (hint, True)))
        for key, hint in get_type_hints(kind, include_extras=True).items()
    )


def _words(kind: Any) -> str:
    """What a schema expects, as it follows "expected"."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return arguments[1].expected
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments)
    if origin is Literal:
        return " or ".join(json.dumps(one) for one in arguments)
    if origin is list:
        return "a list"
    if origin is dict or is_typeddict(kind):
        return "an object"
    return "null" if kind in (None, type(None)) else _NAMES.get(kind, "a value")


def _require(fits: bool, value: Any, path: str, expected: str) -> None:
    if not fits:
        raise _unfit(value, path, expected)


def _unfit(value: Any, path: str, expected: str) -> Unfit:
    where = f"has {path} = {_shown(value)}" if path else f"holds {_shown(value)}"
    return Unfit(f"{where}, expected {expected}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _join(path: str, key: str) -> str:
    key = key if len(key) <= _SHOWN else f"{key[: _SHOWN - 3]}..."
    return f"{path}.{key}" if path else key
