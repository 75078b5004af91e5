"""Files of this machine that may come from a stranger: read without hanging, written past no link.

What is opened to be read has to be a regular file: to open a FIFO waits for a writer, and a device
may never end. What is written takes the place of a regular file or of nothing, never of a link, a
device or a folder. A run folder or a data directory may itself be a link, since its user names it;
what lies in it is not followed where ferjax writes or deletes.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from ferjax import refusals
from ferjax.errors import UserError

Local: TypeAlias = str | os.PathLike[str]

_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def expanded(path: Local, what: str) -> str:
    """A path whose ~ is a home folder.

    Raises:
      UserError: there is no such home folder; `what` names the flag, such as "--source".
    """
    found = os.path.expanduser(os.fspath(path))
    if found.startswith("~"):
        raise UserError(
            f"{what} is {found}, and there is no home folder {found.split('/')[0]} here; write "
            f"./{found} for what lies in the working folder."
        )
    # Path drops the ./ of ./~name, which would then be asked for again.
    return os.path.abspath(found) if found.startswith("./~") else found


def open_regular(path: Local) -> io.BufferedReader:
    """Opens a regular file to be read, or a link to one; never waits.

    Raises:
      OSError: it cannot be read, or is something else; `refusals.problem` says what.
    """
    check_kind(path)  # some devices act when they are opened
    try:
        # O_NONBLOCK: what has become a FIFO opens at once, and is refused by what it is.
        found = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _explained(path, error) from None
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        os.close(found)
        raise _no_file(path, mode)
    return os.fdopen(found, "rb")


def read(path: Local) -> bytes:
    """The content of a regular file, or of one that a link points to; raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def check_regular(path: Local) -> None:
    """Raises an OSError, as `open_regular` does, for what a library is to read by its path."""
    open_regular(path).close()


def check_kind(path: Local) -> None:
    """As `check_regular`, without asking whether the file may be read."""
    mode = _mode(path)
    if not stat.S_ISREG(mode):
        raise _no_file(path, mode)


def check_folder(path: Local) -> None:
    """Raises an OSError, as `open_regular` does, for what is no folder and no link to one."""
    mode = _mode(path)
    if not stat.S_ISDIR(mode):
        text = f"it is {_kind(mode)}, and a folder is expected"
        raise NotADirectoryError(errno.ENOTDIR, text, os.fspath(path))


def check_utf8(path: Local) -> None:
    """Raises an OSError for a path that the libraries of checkpoints and records cannot name."""
    try:
        os.path.abspath(path).encode()
    except UnicodeEncodeError:
        raise OSError(errno.EILSEQ, "its path is not UTF-8", os.fspath(path)) from None


def make_folder(path: Local) -> None:
    """Makes a folder and those above it, unless they are there.

    Raises:
      OSError: it cannot be made, and `refusals.problem` says what is in its way; see `check_utf8`,
        too.
    """
    path = Path(path)
    check_utf8(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        there = next((one for one in (path, *path.parents) if os.path.lexists(one)), path)
        try:
            check_folder(there)
        except OSError as error:
            where = "" if there == path else f"{there}: "
            raise OSError(
                error.errno, f"{where}{refusals.problem(error)}", os.fspath(path)
            ) from None
        raise


def missing(path: Local, otherwise: str) -> str:
    """Why nothing can be read at a path where nothing exists: what is wrong with its links, if it
    is one, or `otherwise`.
    """
    if os.path.islink(path):
        try:
            check_kind(path)
        except OSError as error:
            return refusals.problem(error)
    return otherwise


def check_tree(folder: Local) -> None:
    """Raises an OSError for what in or below a folder is no folder and no file that can be read.

    For what a library reads by path. A link to a file counts as that file, one to a folder is
    refused.
    """
    for where, folders, files in os.walk(folder, onerror=_raise):
        for name in folders:
            if os.path.islink(os.path.join(where, name)):
                raise OSError(errno.ELOOP, f"{name} in it is a link", os.fspath(folder))
        for name in files:
            check_regular(os.path.join(where, name))


def write(path: Local, data: bytes) -> None:
    """Writes a file, durably, and whole or not at all.

    Raises:
      OSError: it cannot be written, or what is there is no regular file.
    """
    path = Path(path)
    check_replaceable(path)
    # Beside the file, under a name that nobody can have put a link at.
    temporary = path.with_name(f".{secrets.token_hex(8)}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(opened, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def check_replaceable(path: Local) -> None:
    """Raises an OSError if something is at `path` that is no regular file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise _no_file(path, mode)


def open_to_append(path: Local) -> io.FileIO:
    """Opens a regular file that is there to append to it, unbuffered; else raises an OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return io.FileIO(os.open(path, flags), "ab")


def check_output(flag: str, path: Local, inputs: Iterable[Local] = ()) -> None:
    """Refuses a file to write that cannot be meant, before any work is done.

    Args:
      flag: what names the file, as "--json".
      path: the file, which need not be there.
      inputs: files that the command reads, and folders all of whose files it may read.

    Raises:
      UserError: something is there that is no regular file, or it is one of the inputs, or its
        folder is not there.
    """
    if os.fspath(path).endswith("/"):
        raise UserError(f"{flag} is {path}, which names a folder; name a file.")
    path = Path(path)
    try:
        check_replaceable(path)
        there = os.path.lexists(path)
    except OSError as error:
        raise UserError(
            f"{flag} is {path}, which cannot be written ({refusals.problem(error)}); name a "
            "file that is not there yet, or a regular one."
        ) from None
    if not there and not path.parent.is_dir():
        raise UserError(f"{flag} is {path}, and there is no folder {path.parent}; make it first.")
    for one in inputs if there else filter(os.path.isdir, inputs):
        with contextlib.suppress(OSError):
            inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(one))
            if inside or (there and os.path.samefile(one, path)):
                raise UserError(
                    f"{flag} is {path}, which is or lies in what this command reads; name another "
                    "file."
                )


def refuse_links(folder: Local, names: Iterable[str], what: str) -> None:
    """Refuses a folder in which something that is written or deleted is a symbolic link.

    Args:
      folder: the folder, which may itself be a link.
      names: its entries that ferjax writes or deletes; all that lies below them counts, too.
      what: how to call the folder, as "workdir".

    Raises:
      UserError: one is a link; the message names it.
    """
    for name in names:
        path = os.path.join(folder, name)
        inside = [path]
        if os.path.isdir(path) and not os.path.islink(path):
            for where, folders, files in os.walk(path):
                inside += [os.path.join(where, one) for one in (*folders, *files)]
        for one in inside:
            if os.path.islink(one):
                raise UserError(
                    f"{one} is a link to {os.readlink(one)}; ferjax writes and deletes there, and "
                    f"follows no link in a {what}. Put a copy in its place, or name another {what}."
                )


def _mode(path: Local) -> int:
    """What is at a path, through links; raises an OSError that explains itself."""
    try:
        return os.stat(path).st_mode
    except OSError as error:
        raise _explained(path, error) from None
    except ValueError:
        raise OSError(errno.EINVAL, "its name has a NUL character", os.fspath(path)) from None


def _explained(path: Local, error: OSError) -> OSError:
    """An error of `open` that says what is at `path`, where the system's words mislead."""
    text = error.strerror
    with contextlib.suppress(OSError):
        mode = os.lstat(path).st_mode
        if error.errno == errno.ENOENT and stat.S_ISLNK(mode):
            text = f"it is a link to {os.readlink(path)}, which is not there"
        elif error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
            return _no_file(path, os.stat(path).st_mode)
    return type(error)(error.errno, text, os.fspath(path))


def _no_file(path: Local, mode: int) -> OSError:
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    text = f"it is {_kind(mode)}, and a regular file is expected"
    return OSError(number, text, os.fspath(path))


def _kind(mode: int) -> str:
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")


def _raise(error: OSError) -> None:
    raise error
