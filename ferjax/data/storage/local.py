"""Where prepared data sets lie, and when one counts as finished.

    DATA_DIR/<name>/<version>/            finished
    DATA_DIR/<name>/incomplete.*          being written, or left behind by a kill
    DATA_DIR/<name>/.preparing            locked while a preparation writes

TFDS writes into a folder `incomplete.*` and renames it at the end, so that a folder named by a
version is whole. A copy that somebody made may not be: a data set counts as finished only if every
file it lists is there. `remote` handles a data directory in an object store.
"""

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator
from typing import Any

import filelock
import tensorflow_datasets as tfds
from etils import epath

from ferjax import filesystem
from ferjax.data.storage import metadata

# Increased when the content of a record changes: data of an older version are then not found.
VERSION = "2.0.0"

INCOMPLETE = "incomplete."


def default_data_dir() -> epath.Path:
    """The folder named by FERJAX_DATA_DIR, else `ferjax` in the user's cache folder."""
    if os.environ.get("FERJAX_DATA_DIR"):
        return resolve(os.environ["FERJAX_DATA_DIR"])
    return cache_dir()


def cache_dir() -> epath.Path:
    """`ferjax` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return epath.Path(cache).expanduser() / "ferjax"


def resolve(data_dir: str | os.PathLike | None) -> epath.Path:
    """`data_dir` with `~` expanded, or the default one if it is None or empty.

    Raises:
      UserError: it is no path, or a gs:// path that cannot be used here.
    """
    return epath.Path(filesystem.of(data_dir)).expanduser() if data_dir else default_data_dir()


def version_dir(data_dir: epath.Path, name: str, own_name: str = "") -> epath.Path:
    """The folder that holds a data set once it is finished.

    Args:
      data_dir: the root of all data sets.
      name: its name in the catalog.
      own_name: the user's name for one of several data sets; "" if there is only one.
    """
    return data_dir / name / own_name / VERSION


def open_finished(directory: epath.Path) -> Any | None:
    """The TFDS builder of a finished data set, for reading; None if there is none."""
    if not ((directory / "dataset_info.json").exists() and (directory / "features.json").exists()):
        return None
    metadata.check(directory)
    builder = tfds.builder_from_directory(directory)
    there = {file.name for file in directory.iterdir()}
    return builder if is_whole(builder, there) else None


def is_whole(builder: Any, names: Collection[str]) -> bool:
    """Whether the files of these names are all that a data set consists of."""
    shards = [
        os.path.basename(path) for split in builder.info.splits.values() for path in split.filepaths
    ]
    described = "fingerprint" in (builder.info.metadata or {})
    return bool(shards) and described and all(shard in names for shard in shards)


@contextlib.contextmanager
def exclusive(directory: epath.Path, on_wait: Any = lambda: None) -> Iterator[None]:
    """Lets one preparation at a time write below `directory`, and clears what a kill left there.

    The system releases the lock when its process ends, also when it is killed.

    Args:
      directory: the local folder of one data set, DATA_DIR/<name>; made if it is not there.
      on_wait: called once if another process holds the lock, before waiting for it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(directory / ".preparing", fallback_to_soft=False)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        on_wait()
        lock.acquire()
    try:
        for leftover in directory.glob(f"{INCOMPLETE}*"):
            leftover.rmtree()
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def replaced(directory: epath.Path) -> Iterator[None]:
    """Moves what is at `directory` aside while a new version is made, and back if that fails.

    A kill in between leaves no data set at all, never half of one.
    """
    if not directory.exists():
        yield
        return
    aside = directory.parent / f"{INCOMPLETE}old-{secrets.token_hex(4)}"
    directory.rename(aside)
    try:
        yield
    except BaseException:
        if not directory.exists():
            aside.rename(directory)
        raise
    aside.rmtree()
