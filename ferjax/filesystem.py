"""Where a file lies: on this machine, or in an object store (gs://).

A place is a `pathlib.Path` or, in an object store, an `epath.Path`. An object is there whole or not
at all; there are no folders to make, nothing can be appended to, and nothing is renamed. Remote
places fail with an OSError, like files, whatever the library below raises.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from etils import epath

from ferjax import local_files, object_store, refusals, stored_json
from ferjax.errors import UserError

SCHEME = "gs://"
Place: TypeAlias = Path | epath.Path


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path lies in an object store."""
    return os.fspath(path).startswith(SCHEME)


def of(path: str | os.PathLike[str], what: str = "A path") -> Place:
    """The place that a path names.

    Args:
      path: a text as a user writes it, where ~ is a home folder; or a path, which is taken as it
        is: a folder may hold a file whose name begins with ~.
      what: what gave it, such as "--workdir".

    Raises:
      UserError: another scheme than gs://, a slip in writing it, the ~ of nobody, or a gs:// path
        where gcsfs is not installed.
    """
    text = os.fspath(path)
    if not is_remote(text):
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
            raise UserError(
                f"{text} is neither a local path nor one of Google Cloud Storage; expected a path, "
                "or gs://BUCKET/PATH."
            )
        if "\0" in text:
            raise UserError(f"{text!r} has a NUL character, which no path has; correct it.")
        return Path(local_files.expanded(text, what) if isinstance(path, str) else text)
    if not text.removeprefix(SCHEME).strip("/"):
        raise UserError(f"{text} names no bucket; expected gs://BUCKET/PATH.")
    object_store.client()
    return epath.Path(text)


def local(path: str | os.PathLike[str], what: str) -> Path:
    """A path that has to be on this machine.

    Raises:
      UserError: see `of`, or it is remote.
    """
    if is_remote(path):
        raise UserError(f"{what} is {os.fspath(path)}; expected a path on this machine: copy it.")
    found = of(path, what)
    assert isinstance(found, Path)
    return found


def cache_dir(otherwise: str) -> str:
    """`ferjax` in the user's cache folder.

    Raises:
      UserError: there is none; `otherwise` is a variable that names another folder instead.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    if cache == "~/.cache" and os.path.expanduser(cache) == cache:
        raise UserError(
            "There is no home folder here whose cache could hold the data; name their folder by "
            f"{otherwise}."
        )
    found = local_files.expanded(cache, "XDG_CACHE_HOME")
    if not os.path.isabs(found):  # it would be another one in each working folder
        raise UserError(
            f"XDG_CACHE_HOME is {cache}, expected an absolute path; correct it, or name the folder "
            f"of the data by {otherwise}."
        )
    return os.path.join(found, "ferjax")


def absolute(path: str | os.PathLike[str]) -> epath.Path:
    """A place for a library that takes both kinds; a relative local path is made absolute."""
    found = of(path)
    return found if is_remote(found) else epath.Path(found.absolute())


def check_output(flag: str, path: str, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Refuses, before any work, a file to write that cannot be meant: `local_files.check_output`.

    Raises:
      UserError: also for a path that is no place.
    """
    place = of(path, flag)
    if not is_remote(place):
        there = [one for one in inputs if not is_remote(one)]
        # A place has no slash at its end, which names a folder.
        local_files.check_output(flag, f"{place}{'/' if path.endswith('/') else ''}", there)


def make_folder(folder: Place) -> None:
    """Makes a local folder; an object store has none, and the first object makes the prefix."""
    if not is_remote(folder):
        local_files.make_folder(folder)


def exists(path: Place) -> bool:
    """Whether there is a file, a folder, or an object that begins with this path and a slash."""
    with _as_os_errors(path):
        return object_store.client().exists(os.fspath(path)) if is_remote(path) else path.exists()


def is_there(path: Place) -> bool:
    """Like `exists`, for a path that the user named.

    Raises:
      UserError: the place cannot be read.
    """
    try:
        return exists(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be looked at ({problem(path, error)}); name another place, or check "
            "who may read it."
        ) from None


def is_whole(folder: Place) -> bool:
    """Whether a checkpoint has all its files; in an object store a last file marks it as whole."""
    return not is_remote(folder) or exists(folder / "commit_success.txt")


def is_folder(path: Place) -> bool:
    """Whether a path is a folder, or a prefix of objects."""
    with _as_os_errors(path):
        return object_store.client().isdir(os.fspath(path)) if is_remote(path) else path.is_dir()


def read_bytes(file: Place) -> bytes:
    """The content of a file.

    Raises:
      OSError: it cannot be read, or is a folder, a FIFO, a device; FileNotFoundError if it is not
        there.
    """
    with _as_os_errors(file):
        if is_remote(file):
            return object_store.client().cat_file(os.fspath(file))
    return local_files.read(file)


def open_bytes(file: Place) -> io.BytesIO | io.BufferedReader:
    """A file to read from its start; one that is remote is read at once.

    Raises:
      OSError: see `read_bytes`.
    """
    return io.BytesIO(read_bytes(file)) if is_remote(file) else local_files.open_regular(file)


def load_json(file: Place, schema: Any, *, most_bytes: int = stored_json.MOST_BYTES) -> Any:
    """The JSON in a file, which fits a schema (see `stored_json`).

    Raises:
      OSError: it cannot be read.
      stored_json.Unfit: it does not fit, or is larger than `most_bytes`.
    """
    with open_bytes(file) as opened:
        data = opened.read(most_bytes + 1)
    return stored_json.check(stored_json.parse(data, most_bytes), schema)


def read_json(
    file: Place, schema: Any, *, fix: str, most_bytes: int = stored_json.MOST_BYTES
) -> Any:
    """As `load_json`; `fix` is what the user can do about a file that does not fit, as a clause.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: one sentence names the file, the key, what was found and expected, and the fix.
    """
    try:
        return load_json(file, schema, most_bytes=most_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        fix = refusals.advice(error, fix)
        raise UserError(f"{file} cannot be read ({problem(file, error)}): {fix}.") from None
    except stored_json.Unfit as error:
        raise UserError(f"{file} {error}: {fix}.") from None


def write(file: Place, data: bytes) -> None:
    """Writes a file, durably, and whole or not at all; see `local_files.write`."""
    if is_remote(file):
        with _as_os_errors(file):
            object_store.client().pipe_file(os.fspath(file), data)
        return
    local_files.write(file, data)


def write_json(path: Place, fields: Mapping[str, Any]) -> None:
    """Writes a JSON file, durably, and whole or not at all.

    Raises:
      UserError: it cannot be written.
    """
    content = (json.dumps(fields, indent=2, allow_nan=False) + "\n").encode()
    try:
        write(path, content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({refusals.problem(error)}): make room there, or let it "
            "be written, and run the same command again."
        ) from None


def create(file: epath.Path, data: bytes) -> bool:
    """Writes an object unless it exists; true if written. Of two callers, only one writes."""
    with _as_os_errors(file):
        try:
            object_store.client().pipe_file(os.fspath(file), data, mode="create")
        except FileExistsError:
            return False
    return True


def remove(file: epath.Path) -> None:
    """Removes an object that may not be there."""
    with _as_os_errors(file), contextlib.suppress(FileNotFoundError):
        object_store.client().rm_file(os.fspath(file))


def sizes(folder: epath.Path) -> dict[str, int]:
    """Name -> bytes of the objects directly below a remote folder; empty where there is none."""
    with _as_os_errors(folder):
        try:
            found = object_store.client().ls(os.fspath(folder), detail=True)
        except FileNotFoundError:
            return {}
    return {os.path.basename(one["name"]): one["size"] for one in found if one["type"] == "file"}


def fetch(source: epath.Path, target: Place) -> None:
    """Copies an object into a local file, which is in pieces until this returns."""
    with _as_os_errors(source):
        object_store.client().get_file(os.fspath(source), os.fspath(target))


def put(source: Place, target: epath.Path) -> None:
    """Copies a local file into an object, whole or not at all."""
    with _as_os_errors(target):
        object_store.client().put_file(os.fspath(source), os.fspath(target))


@contextlib.contextmanager
def here(file: Place) -> Iterator[Path]:
    """A file under its own name on this machine, for readers of local files.

    Raises:
      UserError: a remote one that cannot be read.
    """
    if not is_remote(file):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="ferjax-") as folder:
        target = Path(folder) / file.name
        try:
            fetch(file, target)
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error}).") from error
        yield target


def problem(place: Place, error: OSError) -> str:
    """What an OSError is about, as it follows "cannot be read" in brackets."""
    return str(error) if is_remote(place) else refusals.problem(error)


def _as_os_errors(place: Place) -> contextlib.AbstractContextManager[None]:
    """Turns what the object store raises into an OSError; local files raise them anyway."""
    return object_store.asked(place) if is_remote(place) else contextlib.nullcontext()
