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

from ferjax import filesystem, local_files, refusals
from ferjax.data.storage import described, metadata
from ferjax.errors import UserError

# Increased when the content of a record changes: data of an older version are then not found.
VERSION = "2.0.0"

INCOMPLETE = "incomplete."
_LOCK = ".preparing"


def default_data_dir() -> epath.Path:
    """The folder named by FERJAX_DATA_DIR, else `ferjax` in the user's cache folder."""
    if os.environ.get("FERJAX_DATA_DIR"):
        return epath.Path(filesystem.of(os.environ["FERJAX_DATA_DIR"], "FERJAX_DATA_DIR"))
    return cache_dir()


def cache_dir() -> epath.Path:
    """`ferjax` in the user's cache folder; raises a UserError if it is none."""
    return epath.Path(filesystem.cache_dir("FERJAX_DATA_DIR"))


def resolve(data_dir: str | os.PathLike | None) -> epath.Path:
    """`data_dir` with `~` expanded, or the default one if it is None or empty.

    Raises:
      UserError: it is no path, begins with a ~ of nobody, or is a gs:// path that cannot be used
        here.
    """
    if not data_dir:
        return default_data_dir()
    return epath.Path(filesystem.of(data_dir, "The data directory"))


def version_dir(data_dir: epath.Path, name: str, own_name: str = "") -> epath.Path:
    """The folder that holds a data set once it is finished.

    Args:
      data_dir: the root of all data sets.
      name: its name in the catalog.
      own_name: the user's name for one of several data sets; "" if there is only one.
    """
    return data_dir / name / own_name / VERSION


def open_finished(directory: epath.Path) -> Any | None:
    """The TFDS builder of a finished data set, for reading; None if there is none.

    Raises:
      UserError: its files are not those that ferjax writes, and TFDS has not read them; or it
        cannot be known whether it is there.
    """
    where = directory
    try:
        for where in (*reversed(directory.parents), directory):
            local_files.check_folder(where)
        for name in ("dataset_info.json", "features.json"):
            os.stat(directory / name)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.islink(where):
            return None
        raise UserError(
            f"{where} cannot be looked at ({refusals.problem(error)}); name the folder where "
            "data are prepared, by --data_dir or dataset.data_dir, and check who may read it."
        ) from None
    described.check(directory, VERSION)
    metadata.check(directory)
    builder = tfds.builder_from_directory(directory)
    there = {file.name for file in directory.iterdir()}
    return builder if is_whole(builder, there) else None


def is_whole(builder: Any, names: Collection[str]) -> bool:
    """Whether the files of these names are all that a data set consists of."""
    shards = [
        os.path.basename(path) for split in builder.info.splits.values() for path in split.filepaths
    ]
    has_fingerprint = "fingerprint" in (builder.info.metadata or {})
    return bool(shards) and has_fingerprint and all(shard in names for shard in shards)


@contextlib.contextmanager
def exclusive(
    directory: epath.Path, on_wait: Any = lambda: None, *, root: epath.Path
) -> Iterator[None]:
    """Lets one preparation at a time write below `directory`, and clears what a kill left there.

    The system releases the lock when its process ends, also when it is killed.

    Args:
      directory: the local folder of one data set, DATA_DIR/<name>; made if it is not there.
      on_wait: called once if another process holds the lock, before waiting for it.
      root: what it is below; may be a link.

    Raises:
      UserError: the folder, or what is written or deleted in it, is a link.
    """
    parts = directory.relative_to(root).parts
    for number in range(len(parts)):
        above = root.joinpath(*parts[:number])
        if os.path.islink(above / parts[number]):
            local_files.refuse_links(above, [parts[number]], "data directory")
    local_files.make_folder(directory)
    leftovers = [path.name for path in directory.glob(f"{INCOMPLETE}*")]
    local_files.refuse_links(directory, [_LOCK, VERSION, *leftovers], "data directory")
    lock = filelock.FileLock(directory / _LOCK, fallback_to_soft=False)
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
