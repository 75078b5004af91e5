"""Values of flags: those that absl refuses, in the words of ferjax, and some that it lets pass."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from absl import flags

from ferjax.errors import UserError, listing

# Flags that absl takes for itself: a file of more flags, and names of flags to pass over.
_OF_ABSL = ("flagfile", "undefok")


def check_own_line(argv: Sequence[str]) -> None:
    """Refuses flags that hide others, or what is wrong with them, from every check."""
    for argument in argv[1 : argv.index("--")] if "--" in argv else argv[1:]:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-") and name in _OF_ABSL:
            raise UserError(f"--{name} is not taken here; give the flags themselves.")


def check_once(flag_values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Raises a UserError for a flag of one value that is given twice, of which one would count.

    Of the fields of a config the last counts: a script adds some to those that it is given.
    """
    given: set[str] = set()
    for argument in argv[1 : argv.index("--")] if "--" in argv else argv[1:]:
        found = re.match(r"--?([A-Za-z_]\w*)(=|$)", argument)
        name = found[1] if found else ""
        takes_several = name in flag_values and isinstance(flag_values[name], flags.MultiFlag)
        if name in given and not takes_several:
            raise UserError(f"--{name} is given twice; leave one out.")
        if name:
            given.add(name)


def refused(flag_values: flags.FlagValues, error: flags.Error) -> UserError:
    """The error that names a flag, what it was given, and what is expected."""
    text = str(error)
    missing = re.search(r"Flag --(\S+) must have a value other than None", text)
    if missing:
        return UserError(f"--{missing[1]} is required; --help shows an example.")
    without = re.fullmatch(r"Missing value for flag --?(\S+)", text)
    if without:
        return UserError(f"--{without[1]} has no value; give it as --{without[1]}=VALUE.")
    # "flag --NAME=VALUE: WORDS", where the words are those of int(), float() or absl.
    wrong = re.match(r"flag --([^=]+)=", text)
    if wrong and "as a ConfigDict" in text:
        return UserError(
            f"--{wrong[1]} is a group of fields; give one of them, as --{wrong[1]}.FIELD=VALUE."
        )
    words = f": {error.__context__}"
    expected = _expected(flag_values[wrong[1]]) if wrong and wrong[1] in flag_values else ""
    if wrong and expected and text.endswith(words):
        value = text[wrong.end() : -len(words)]
        return UserError(f"--{wrong[1]} is {value!r}; expected {expected}.")
    return UserError(text)


def check(own: Iterable[flags.Flag]) -> None:
    """Raises a UserError for a flag that is given nothing, or a number that is not finite."""
    for flag in own:
        if flag.using_default_value:
            continue
        if flag.value in ("", []):
            raise UserError(f"--{flag.name} is empty; give it a value, or leave it out.")
        if isinstance(flag.value, float) and not math.isfinite(flag.value):
            raise UserError(f"--{flag.name} is {flag.value}; expected {_expected(flag)}.")


def _expected(flag: flags.Flag) -> str:
    """What a flag takes, as it follows "expected"; "" for any text."""
    parser = flag.parser
    if isinstance(parser, flags.IntegerParser | flags.FloatParser):
        kind = "a whole number" if isinstance(parser, flags.IntegerParser) else "a number"
        ends = {"of at least": parser.lower_bound, "at most": parser.upper_bound}
        texts = [f"{how} {end:.12g}" for how, end in ends.items() if end is not None]
        return f"{kind} {' and '.join(texts)}".strip()
    if isinstance(parser, flags.EnumParser):
        return listing(parser.enum_values)
    return "true or false" if isinstance(parser, flags.BooleanParser) else ""
