"""Where prepared data sets lie, and when one counts as finished.

    DATA_DIR/<name>/<version>/            finished
    DATA_DIR/<name>/incomplete.*          being written, or left behind by a kill
    DATA_DIR/<name>/.preparing            locked while a preparation writes

TFDS writes into a folder `incomplete.*` and renames it at the end, so that a folder named by a
version is whole. Only a remote rename, which copies file by file, can be caught half-way: a data
set therefore counts as finished only if every file it lists is there.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

VERSION = "1.0.0"

_INCOMPLETE = "incomplete."


def default_data_dir() -> epath.Path:
    """The folder named by FERJAX_DATA_DIR, else `ferjax` in the user's cache folder."""
    if os.environ.get("FERJAX_DATA_DIR"):
        return epath.Path(os.environ["FERJAX_DATA_DIR"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return epath.Path(cache).expanduser() / "ferjax"


def resolve(data_dir: str | os.PathLike | None) -> epath.Path:
    """`data_dir` with `~` expanded, or the default one if it is None or empty."""
    return epath.Path(data_dir).expanduser() if data_dir else default_data_dir()


def version_dir(data_dir: epath.Path, name: str) -> epath.Path:
    """The folder that holds the data set `name` once it is finished."""
    return data_dir / name / VERSION


def open_finished(directory: epath.Path) -> Any | None:
    """The TFDS builder of a finished data set, for reading; None if there is none."""
    if not ((directory / "dataset_info.json").exists() and (directory / "features.json").exists()):
        return None
    builder = tfds.builder_from_directory(directory)
    shards = [
        epath.Path(path) for split in builder.info.splits.values() for path in split.filepaths
    ]
    if not shards or "fingerprint" not in (builder.info.metadata or {}):
        return None
    return builder if all(shard.exists() for shard in shards) else None


@contextlib.contextmanager
def exclusive(directory: epath.Path, on_wait: Any = lambda: None) -> Iterator[None]:
    """Lets one preparation at a time write below `directory`, and clears what a kill left there.

    The lock goes with the process that holds it, however it ends. Remote folders have no locks:
    there the rename of TFDS alone decides between two preparations.

    Args:
      directory: the folder of one data set, DATA_DIR/<name>; made if it is not there.
      on_wait: called once if another process holds the lock, before waiting for it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if "://" in os.fspath(directory):
        yield
        return
    with open(directory / ".preparing", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in directory.glob(f"{_INCOMPLETE}*"):
            leftover.rmtree()
        yield


@contextlib.contextmanager
def replaced(directory: epath.Path) -> Iterator[None]:
    """Moves what is at `directory` aside while a new version is made, and back if that fails.

    A kill in between leaves no data set at all, never half of one.
    """
    if not directory.exists():
        yield
        return
    aside = directory.parent / f"{_INCOMPLETE}old-{secrets.token_hex(4)}"
    directory.rename(aside)
    try:
        yield
    except BaseException:
        if not directory.exists():
            aside.rename(directory)
        raise
    aside.rmtree()
