"""Rules for the values of config fields, with their texts and error messages.

A rule has a text, which follows "expected" in a message and stands in the table of all fields, and
a check, which raises a UserError that begins with the name of the field.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from ferjax.errors import UserError, listing, not_one_of


@runtime_checkable
class Rule(Protocol):
    """The allowed values of a field."""

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""

    def check(self, name: str, value: object) -> None:
        """Raises a UserError if the value of the field `name` is not allowed."""


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a config.

    Attributes:
      default: its default value.
      rule: the allowed values.
      meaning: its meaning, a phrase that can follow "It is".
    """

    default: Any
    rule: Rule
    meaning: str

    def check(self, name: str, value: object) -> None:
        """Raises a UserError, with the meaning of the field, if the value is not allowed."""
        try:
            self.rule.check(name, value)
        except UserError as error:
            raise UserError(f"{error} It is {self.meaning}.") from None


@dataclasses.dataclass(frozen=True)
class Text:
    """Any text."""

    allowed = "a text"

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        if not isinstance(value, str):
            raise _refusal(name, value, self)


@dataclasses.dataclass(frozen=True)
class Flag:
    """True or False."""

    allowed = "True or False"

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        if not isinstance(value, bool):
            raise _refusal(name, value, self)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, or of the values that a function returns when it is called."""

    values: tuple[Any, ...] | Callable[[], tuple[Any, ...]]

    @property
    def _all(self) -> tuple[Any, ...]:
        return self.values() if callable(self.values) else self.values

    @property
    def allowed(self) -> str:
        """See `Rule`."""
        return listing(self._all)

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        # The type too: 1.0 and True equal 1.
        if not any(value == each and type(value) is type(each) for each in self._all):
            raise not_one_of(name, value, self._all)


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number between two ends.

    Attributes:
      least: the smallest allowed number; or
      above: the largest number that is too small.
      most: the largest allowed number; or
      below: the smallest number that is too large.
      whole: whether it is an integer.
    """

    least: int | float | None = None
    above: int | float | None = None
    most: int | float | None = None
    below: int | float | None = None
    whole: bool = False

    @property
    def allowed(self) -> str:
        """See `Rule`."""
        ends = {
            "of at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        texts = [f"{how} {end}" for how, end in ends.items() if end is not None]
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} {' and '.join(texts)}" if texts else kind

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        if not self._holds(value):
            raise _refusal(name, value, self)

    def _holds(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.whole and isinstance(value, float):
            return False
        return (
            -math.inf < value < math.inf  # false for NaN, too
            and (self.least is None or self.least <= value)
            and (self.above is None or self.above < value)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


@dataclasses.dataclass(frozen=True)
class Items:
    """Several values in a tuple.

    Attributes:
      item: the rule for each of them.
      lengths: the allowed numbers of values; None for any number.
      ascending: whether each must be at least as large as the one before.
      distinct: whether they must differ.
    """

    item: Rule
    lengths: Sequence[int] | None = None
    ascending: bool = False
    distinct: bool = False

    @property
    def allowed(self) -> str:
        """See `Rule`."""
        number = "any number of" if self.lengths is None else " or ".join(map(str, self.lengths))
        order = ", the smaller first" if self.ascending else ""
        return f"{number} values, each {self.item.allowed}{order}" + (
            ", none of them twice" if self.distinct else ""
        )

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        if not isinstance(value, tuple | list):
            raise _refusal(name, value, self)
        for number, item in enumerate(value):
            self.item.check(f"{name}[{number}]", item)
        wrong_length = self.lengths is not None and len(value) not in self.lengths
        disordered = self.ascending and list(value) != sorted(value)
        if wrong_length or disordered or (self.distinct and len(set(value)) < len(value)):
            raise _refusal(name, tuple(value), self)


@dataclasses.dataclass(frozen=True)
class NameOrNumbers:
    """A text: one of some names, or numbers joined by +, not all of them 0."""

    names: tuple[str, ...]
    number: Number

    @property
    def allowed(self) -> str:
        """See `Rule`."""
        return f"{', '.join(self.names)}, or numbers joined by +, each {self.number.allowed}"

    def check(self, name: str, value: object) -> None:
        """See `Rule`."""
        if not isinstance(value, str):
            raise _refusal(name, value, self)
        if value in self.names:
            return
        try:
            numbers = [float(each) for each in value.split("+")]
        except ValueError:
            raise _refusal(name, value, self) from None
        for number, each in enumerate(numbers):
            self.number.check(f"{name}[{number}]", each)
        if not any(numbers):
            raise UserError(f"{name} is {value!r}; expected a number above 0 among them.")


def like(default: object) -> Rule:
    """The rule of an option that has only a default: its type; a number must be finite."""
    if isinstance(default, bool):
        return Flag()
    if isinstance(default, int | float):
        return Number(whole=isinstance(default, int))
    return Items(Text()) if isinstance(default, tuple) else Text()


def _refusal(name: str, value: object, rule: Rule) -> UserError:
    return UserError(f"{name} is {value!r}; expected {rule.allowed}.")
