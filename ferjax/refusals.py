"""What the operating system refuses, as errors of Python and of other libraries tell it."""

import errno
import os

# What no program can help: a disk that is full, a file that may not be read.
OF_THE_MACHINE = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EISDIR,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
)
_PROBLEMS = {
    errno.ELOOP: "its links lead round in a circle",
    errno.ENAMETOOLONG: "the name is too long for a file",
}


def problem(error: OSError) -> str:
    """What an OSError is about, as it follows "cannot be read" in brackets."""
    known = _PROBLEMS.get(error.errno or 0)
    return known or error.strerror or str(error) or type(error).__name__


def advice(error: Exception, otherwise: str) -> str:
    """What to do about a file that cannot be read, as a clause: `otherwise`, unless it is there and
    may not be read.
    """
    return "check who may read it" if isinstance(error, PermissionError) else otherwise


def behind(error: Exception) -> OSError | None:
    """The refusal of the machine that an error of a library tells by its cause or its text.

    Libraries that are no Python have the words of the system in the text of an error.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
            return cause
        said = str(cause)
        number = next((one for one in OF_THE_MACHINE if os.strerror(one) in said), None)
        if number is not None:
            return OSError(number, os.strerror(number))
        cause = cause.__cause__
    return None
