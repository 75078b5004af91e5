"""The exceptions that decide how a command ends, and the nearest-name hint of their messages."""

import difflib
from collections.abc import Iterable


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

    Case is ignored, so that `FER2013` leads to `fer2013`.
    """
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]!r}?" if close else ""
