"""Prepared data sets in an object store (gs://): uploaded whole, and fetched whole for reading.

Records are read at random, which needs local files. So a remote data directory has a counterpart
in the cache folder of each machine that trains on it:

    gs://BUCKET/PATH/<name>/<version>/                    what all machines share
    CACHE/ferjax/remote/BUCKET/PATH/<name>/<version>/     a copy, made when it is first opened

dataset_info.json is uploaded last and removed first: a folder without it is not a data set. A copy
is used as long as its fingerprint and its files' sizes are the same as in the remote data set;
otherwise it is replaced.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from ferjax import filesystem
from ferjax.cli import output
from ferjax.data.storage import described, metadata
from ferjax.data.storage import local as storage
from ferjax.errors import UserError

_LAST = "dataset_info.json"
_FINGERPRINT = "metadata.json"
_RECORDS = ".array_record-"


def local(path: epath.Path) -> epath.Path:
    """The counterpart of a remote path on this machine; a local path is its own."""
    if not filesystem.is_remote(path):
        return path
    return storage.cache_dir() / "remote" / os.fspath(path).removeprefix(filesystem.SCHEME)


def describe(directory: epath.Path) -> Any | None:
    """A TFDS builder that knows a finished remote data set but cannot read it; None without one.

    Raises:
      OSError: the object store cannot be read.
    """
    names = filesystem.sizes(directory)
    if _LAST not in names or "features.json" not in names:
        return None
    with tempfile.TemporaryDirectory(prefix="ferjax-") as folder:
        for name in names:
            if _RECORDS not in name:
                filesystem.fetch(directory / name, epath.Path(folder) / name)
        described.check(epath.Path(folder), storage.VERSION)
        metadata.check(epath.Path(folder))
        builder = tfds.builder_from_directory(folder)
        # Inside the block, because the builder reads its files only now.
        return builder if storage.is_whole(builder, names) else None


def open_finished(directory: epath.Path) -> Any | None:
    """The TFDS builder of the copy of a finished remote data set, fetched if need be, or None.

    Raises:
      UserError: the object store cannot be read, the cache folder cannot be written, or the data
        set was replaced while it was fetched.
    """
    target = local(directory)
    try:
        if not _is_copy(target, directory):
            if describe(directory) is None:
                return None
            with storage.exclusive(target.parent, root=storage.cache_dir()):
                # Another process of this machine may have done it meanwhile.
                if not _is_copy(target, directory):
                    _fetch(directory, target)
    except OSError as error:
        raise UserError(
            f"{directory} cannot be brought to {target}: {error}. Check the network, the name of "
            "the bucket, who may read it, and the room there is."
        ) from error
    return storage.open_finished(target)


def put(directory: epath.Path) -> None:
    """Uploads the counterpart of a remote data set, and replaces what is there.

    Raises:
      OSError: the object store cannot be written; it then has no complete data set there.
    """
    source = local(directory)
    names = sorted((file.name for file in source.iterdir()), key=lambda name: (name == _LAST, name))
    filesystem.remove(directory / _LAST)
    for name in filesystem.sizes(directory).keys() - set(names):
        filesystem.remove(directory / name)
    for name in names:
        filesystem.put(source / name, directory / name)


def _is_copy(target: epath.Path, directory: epath.Path) -> bool:
    if not (target / _FINGERPRINT).exists():
        return False
    there = filesystem.sizes(directory)
    here = {file.name: file.stat().length for file in target.iterdir()}
    if here != there or _LAST not in there:
        return False
    return (target / _FINGERPRINT).read_bytes() == filesystem.read_bytes(directory / _FINGERPRINT)


def _fetch(directory: epath.Path, target: epath.Path) -> None:
    sizes = filesystem.sizes(directory)
    megabytes = sum(sizes.values()) / 1e6
    output.say(f"fetching {megabytes:,.0f} MB from {directory}", file=sys.stderr)
    partial = target.parent / f"{storage.INCOMPLETE}{secrets.token_hex(4)}"
    partial.mkdir()
    # The fingerprint first: if it is the same at the end, all files are of the same data set.
    for name in sorted(sizes, key=lambda name: name != _FINGERPRINT):
        filesystem.fetch(directory / name, partial / name)
    if not _is_copy(partial, directory):
        raise UserError(f"{directory} was replaced while it was fetched; run the command again.")
    with storage.replaced(target):
        partial.rename(target)
