"""Fetches files of the manifest, when a user asks, and finds those that are there."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ferjax import filesystem, local_files, refusals
from ferjax.errors import UserError
from ferjax.inference.shipped.manifest import Entry, entry

PART = 1 << 16  # bytes that are read at once
_SECONDS = 30  # without an answer


def fetched(name: str, kind: str | None = None) -> tuple[Path, bytes]:
    """The file of an entry, and its content, read once.

    Raises:
      UserError: there is no such entry, or it was not fetched; or the file is damaged.
    """
    found = entry(name, kind)
    path = _place(found)
    if found.file is None and not path.exists():
        raise UserError(
            f"{name} is not here: python -m ferjax.models --fetch={name} fetches its "
            f"{_size(found.num_bytes)} from {found.address} ({found.licence})."
        )
    return path, check(path, found)


def is_here(found: Entry) -> bool:
    """Whether an entry needs no fetching."""
    return found.file is not None or _place(found).exists()


def check(path: Path, found: Entry) -> bytes:
    """The content of a file of the manifest.

    Raises:
      UserError: it cannot be read, or is not the one of the manifest.
    """
    fix = (
        "install ferjax again"
        if found.file is not None
        else f"delete it, and fetch it by python -m ferjax.models --fetch={found.name}"
    )
    try:
        data = local_files.read(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({refusals.problem(error)}); {fix}.") from None
    if hashlib.sha256(data).hexdigest() != found.sha256:
        raise UserError(f"{path} is damaged, as its SHA-256 is not that of {found.name}; {fix}.")
    return data


def fetch(name: str, on_part: Callable[[], None] = lambda: None) -> Path:
    """Fetches the file of an entry into the user's cache folder, once.

    Args:
      name: of the entry.
      on_part: called for each `PART` that has come.

    Raises:
      UserError: there is no such entry; it cannot be fetched or stored; or what came is something
        else, of which nothing is kept.
    """
    found = entry(name)
    path = _place(found)
    if found.file is not None or path.exists():
        check(path, found)
        return path
    try:
        local_files.make_folder(path.parent)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with _gone_after(beside):
            digest = _download(found, beside, on_part)
            if digest != found.sha256:
                raise UserError(
                    f"What came from {found.address} has the SHA-256 {digest}, expected "
                    f"{found.sha256}; nothing of it was kept. Try again, or get {name} elsewhere."
                )
            os.replace(beside, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({refusals.problem(error)}): make room there, or name "
            "another cache folder by XDG_CACHE_HOME."
        ) from None
    return path


def _download(found: Entry, target: Path, on_part: Callable[[], None]) -> str:
    """Writes what an address gives to a file, and returns its SHA-256."""
    digest, left = hashlib.sha256(), found.num_bytes
    with _answer(found) as answer, target.open("xb") as file:
        while part := _read(found, answer):
            left -= len(part)
            if left < 0:
                raise UserError(
                    f"{found.address} gives more than the {found.num_bytes:,} bytes of "
                    f"{found.name}; nothing of it was kept."
                )
            digest.update(part)
            file.write(part)
            on_part()
    return digest.hexdigest()


def _answer(found: Entry) -> Any:
    try:
        return urllib.request.urlopen(found.address, timeout=_SECONDS)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unreachable(found, error) from None


def _read(found: Entry, answer: Any) -> bytes:
    try:
        return answer.read(PART)
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(found, error) from None


def _unreachable(found: Entry, error: Exception) -> UserError:
    reason = getattr(error, "reason", None) or error
    return UserError(
        f"{found.name} cannot be fetched from {found.address} ({reason}). Look whether this "
        "machine reaches that address, or fetch the file elsewhere and name its path."
    )


@contextlib.contextmanager
def _gone_after(path: Path) -> Iterator[None]:
    """Removes a file after the block, if it is still there."""
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _place(found: Entry) -> Path:
    """Where the file of an entry is or will be."""
    if found.file is not None:
        return found.file
    suffix = os.path.splitext(found.address)[1]
    return Path(filesystem.cache_dir("XDG_CACHE_HOME")) / "models" / f"{found.name}{suffix}"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
