"""The exceptions that decide how a command ends, their exit codes, and the nearest-name hint.

  0  done
  2  the user can put it right; the message says how (`UserError`)
 70  a defect of ferjax, with its traceback
 75  stopped, and the same command resumes it (`Interrupted`)
130  stopped from the keyboard
"""

import contextlib
import difflib
import sys
import traceback
import unicodedata
from collections.abc import Collection, Iterable

EXIT_USER_ERROR = 2
EXIT_DEFECT = 70
EXIT_RESUMABLE = 75
EXIT_KEYBOARD = 130


class UserError(Exception):
    """Something the user can put right: the message says what was found, expected, and the fix.

    Commands print it as ``error: ...`` without a traceback and exit with code 2.
    """


class SaveFailed(UserError):
    """What a resume needs could not be written; the earlier checkpoints are whole."""


class FolderLost(UserError):
    """Another process has taken the run's folder, where nothing more may be written."""


class Interrupted(Exception):
    """The work was stopped and can be resumed; the message says how. Commands exit with code 75."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint for a mistyped name: `" Did you mean 'x'?"`, or `""` if no choice is close.

    Case is ignored, so that `FER2013` leads to `fer2013`. Of names joined by +, each has to be
    close.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    parts = name.lower().split("+")
    for choice in difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6):
        others = choice.split("+")
        if len(parts) == len(others) and all(map(_is_close, parts, others)):
            return f" Did you mean {by_lower[choice]!r}?"
    return ""


def _is_close(part: str, other: str) -> bool:
    return bool(difflib.get_close_matches(part, [other], cutoff=0.6))


def one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Raises `not_one_of` unless `value` is one of `allowed`."""
    choices = tuple(allowed)
    if value not in choices:
        raise not_one_of(name, value, choices)


def at_least(name: str, value: int, least: int) -> None:
    """Raises a UserError if `value` is below `least`."""
    if value < least:
        raise UserError(f"{name} is {value}; it must be at least {least}.")


def not_one_of(name: str, value: object, allowed: Iterable[object]) -> UserError:
    """The error for a value that is not allowed: the value, the allowed ones, and the nearest.

    Args:
      name: the name of the field or flag that has the value.
      value: the value.
      allowed: the allowed values; None is called none.
    """
    return UserError(f"{name} is {value!r}; expected {listing(allowed)}.{_near(value, allowed)}")


def listing(allowed: Iterable[object]) -> str:
    """The allowed values, as text that can follow "expected"."""
    return f"one of {', '.join(map(_shown, allowed))}"


def _shown(choice: object) -> str:
    return "none" if choice is None else str(choice) or '""'


def _near(value: object, allowed: Iterable[object]) -> str:
    return nearest(value, map(_shown, allowed)) if isinstance(value, str) else ""


def literal(text: object, *, keep: str = "\n") -> str:
    r"""A text as it may be printed, whoever gave it: what would steer a terminal is spelled out.

    Args:
      text: may hold the name of a file, of a class or of a member of an archive.
      keep: characters that stay; none in a name, which takes one line.

    Returns:
      The text, where control characters, line separators and what changes the direction of writing
      or has no width are escaped as Python writes them, and bytes of a name that is not UTF-8 as
      `\xNN`.
    """
    found = str(text)
    if found.isprintable():  # nearly all, and each image of a data set is called by its name
        return found
    return "".join(one if one in keep else _spelled(one) for one in found)


def one_line(text: object) -> str:
    """`literal` for a name, which takes one line."""
    return literal(text, keep="")


def some(names: Collection[str], most: int = 3) -> str:
    """The first of some names, as they may be printed."""
    shown = ", ".join(map(one_line, sorted(names)[:most]))
    return f"{shown}, ..." if len(names) > most else shown


def _spelled(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # how Python carries a byte that is not UTF-8
        return f"\\x{ord(one) - 0xDC00:02x}"
    if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return one.encode("unicode_escape").decode("ascii")
    return one


def explain(error: BaseException) -> int:
    """Says on stderr why a command ends, and returns its exit code."""
    if isinstance(error, UserError):
        _say(f"error: {literal(error)}")
        return EXIT_USER_ERROR
    if isinstance(error, Interrupted):
        _say(f"interrupted: {literal(error)}")
        return EXIT_RESUMABLE
    if isinstance(error, KeyboardInterrupt):
        _say("interrupted from the keyboard")
        return EXIT_KEYBOARD
    _say(literal("".join(traceback.format_exception(error))).rstrip())
    _say(
        "This is a defect of ferjax, not of what you asked for: please report it with the lines "
        "above."
    )
    return EXIT_DEFECT


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads, or it is full; the exit code still tells
        print(text, file=sys.stderr, flush=True)
