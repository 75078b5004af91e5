"""From a source of the user to a prepared data set: read, check, fingerprint, write.

Everything is read, decoded and checked before the first byte is written. Images are held one at a
time, so that a data set may be larger than memory where its reader allows it.
"""

import dataclasses
import inspect
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from rich.cells import cell_len
from rich.console import Console

from ferjax import filesystem, refusals
from ferjax.cli import progress
from ferjax.data import catalog
from ferjax.data.catalog import DatasetSpec
from ferjax.data.images import remarks
from ferjax.data.prepare import builders, checking, counting
from ferjax.data.prepare.items import Reader, Reading
from ferjax.data.prepare.readers.ck_plus import read as ck_plus
from ferjax.data.prepare.readers.fer2013 import read as fer2013
from ferjax.data.prepare.readers.fer_plus import read as fer_plus
from ferjax.data.prepare.readers.image_folder import read as image_folder
from ferjax.data.prepare.readers.raf_db import read as raf_db
from ferjax.data.storage import local, remote, writing
from ferjax.data.storage.fingerprint import fingerprint
from ferjax.errors import UserError, literal, nearest

_READERS: dict[str, Reader] = {
    "fer2013": fer2013.read,
    "raf_db": raf_db.read,
    "ck_plus": ck_plus.read,
    "fer_plus": fer_plus.read,
    "image_folder": image_folder.read,
}
_BUILDERS: dict[str, type[builders.PreparedBuilder]] = {
    "fer2013": builders.Fer2013,
    "fer_plus": builders.FerPlus,
    "raf_db": builders.RafDb,
    "ck_plus": builders.CkPlus,
    "image_folder": builders.ImageFolder,
}


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
      directory: its folder.
      counts: the number of examples of each class, by split.
      fingerprint: the fingerprint of its content.
      source_format: the form of the source it was made from.
      names: its class names.
      notes: sentences about what was left out.
      was_there: True if the same content had been prepared before, so that nothing was written.
    """

    directory: epath.Path
    counts: Mapping[str, tuple[int, ...]]
    fingerprint: str
    source_format: str
    names: tuple[str, ...]
    notes: tuple[str, ...]
    was_there: bool


def prepare(
    spec: DatasetSpec,
    source: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
    console: Console | None = None,
    **options: Any,
) -> Prepared:
    """Prepares a data set.

    Args:
      spec: which one, with the counts it must have.
      source: what the user obtained: a zip, a folder or a file.
      data_dir: where to put it, local or remote; the default of `storage.local.resolve` if None.
      overwrite: whether other content that is already there may be replaced.
      console: where progress is shown; nowhere if None.
      **options: the reader's keywords, and `name` if users name the data set.

    Raises:
      UserError: the source is missing, is not this data set, is damaged or incomplete; other
        content is there and `overwrite` is not set; or `data_dir` cannot be written.
    """
    console = console or Console(file=io.StringIO())
    path = _source(spec, source)
    own_name = _own_name(spec, options)
    with remarks.collected() as left_out:
        reading = _read(spec, path, options, console)
        names = reading.names or (spec.labels.names if spec.labels else ())
        counts = counting.check(spec, path, reading, names)
        splits, features = checking.check_images(spec, path, reading, console)
    notes = (*reading.remarks, *reading.notes, *left_out.sentences())
    found = fingerprint({name: [one.digest for one in split] for name, split in splits.items()})
    root = local.resolve(data_dir)
    directory = local.version_dir(root, spec.name, own_name)
    result = Prepared(directory, counts, found, reading.source_format, names, notes, was_there=True)

    def builder(on_item: Callable[[], None]) -> builders.PreparedBuilder:
        return _BUILDERS[spec.name](
            splits=splits,
            features={**features, "names": names},
            metadata={
                "fingerprint": found,
                "source_format": result.source_format,
                "counts": {split: list(count) for split, count in counts.items()},
            },
            on_item=on_item,
            config=tfds.core.BuilderConfig(name=own_name) if own_name else None,
            data_dir=remote.local(root),
            file_format="array_record",
        )

    total = sum(map(len, splits.values()))
    wrote = _store(spec, path, root, result, builder, total, console, overwrite=overwrite)
    return dataclasses.replace(result, was_there=not wrote)


def _source(spec: DatasetSpec, source: str | os.PathLike) -> Path:
    path = filesystem.local(source, "--source")
    try:
        path.stat()
    except FileNotFoundError:
        raise UserError(f"there is nothing at {path}.\n{spec.how_to_obtain}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {refusals.problem(error)}.") from None
    return path


def _store(
    spec: DatasetSpec,
    path: Path,
    root: epath.Path,
    prepared: Prepared,
    builder: Callable[[Callable[[], None]], builders.PreparedBuilder],
    total: int,
    console: Console,
    *,
    overwrite: bool,
) -> bool:
    """Writes a data set unless it is there already; true if it was written.

    Args:
      spec: which data set.
      path: what the user obtained.
      root: the data directory.
      prepared: the data set to write.
      builder: makes what writes it, and calls the argument after each item.
      total: how many items there are.
      console: where progress is shown.
      overwrite: whether other content that is there may be replaced.

    Raises:
      UserError: other content is there, or the folder cannot be written.
    """
    directory = prepared.directory

    def on_wait() -> None:
        console.print("another preparation is writing here; waiting for it to end")

    try:
        here, is_remote = remote.local(directory), filesystem.is_remote(directory)
        with local.exclusive(here.parent, on_wait, root=remote.local(root)):
            there = (remote.describe if is_remote else local.open_finished)(directory)
            if there is not None:
                other, found = there.info.metadata["fingerprint"], prepared.fingerprint
                names = tuple(there.info.features["label"].names)
                if other == found and names == prepared.names:
                    return False
                if not overwrite:
                    other_place = "--data_dir" if spec.labels else "--name"
                    raise UserError(
                        f"{directory} already holds {spec.title} with other content (fingerprint "
                        f"{other[:12]}..., that of {path} is {found[:12]}...). Pass "
                        f"--overwrite to replace it, or another {other_place} to keep both."
                    )
            with local.replaced(here), progress.bar(console, "writing", total) as on_item:
                writing.write(lambda: builder(on_item))
            if is_remote:
                console.print(literal(f"putting it into {directory}"), markup=False)
                remote.put(directory)
    except OSError as error:
        raise writing.refused(directory, error) from error
    return True


def summary(spec: DatasetSpec, prepared: Prepared) -> str:
    """What was prepared: a table of split by class, the fingerprint and the place."""
    names = ["split", *prepared.names, "total"]
    rows = [
        [split, *(f"{count:,}" for count in counts), f"{sum(counts):,}"]
        for split, counts in prepared.counts.items()
    ]
    # In columns of the terminal: a letter of Chinese takes two.
    widths = [max(map(cell_len, column)) for column in zip(names, *rows, strict=True)]
    lines = ["  ".join(map(_aligned, range(len(row)), row, widths)) for row in [names, *rows]]
    done = "had been prepared before, with the same content" if prepared.was_there else "is ready"
    return "\n".join(
        [
            f"{spec.title} ({prepared.source_format}) {done}: {prepared.directory}",
            "",
            *lines,
            "",
            f"fingerprint {prepared.fingerprint}",
            *prepared.notes,
        ]
    )


def _aligned(column: int, cell: str, width: int) -> str:
    """A cell of a table: the first column begins at the left, the others end at the right."""
    space = " " * (width - cell_len(cell))
    return space + cell if column else cell + space


def _own_name(spec: DatasetSpec, options: dict[str, Any]) -> str:
    """Takes the user's name out of the options, and refuses one that is missing or out of place."""
    own_name = options.pop("name", "") or ""
    if spec.labels is not None:
        if own_name:
            raise UserError(f"--name is of image_folder alone; {spec.name} has its own name.")
        return ""
    catalog.check_own_name(spec, own_name, "--name")
    return own_name


def _read(spec: DatasetSpec, path: Path, options: dict[str, Any], console: Console) -> Reading:
    reader = _READERS[spec.name]
    parameters = inspect.signature(reader).parameters.values()
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            listing = f"It takes: {', '.join(known)}." if known else "It takes none."
            raise UserError(
                f"{spec.name} does not take --{option}.{nearest(option, known)} {listing}"
            )
    total = sum(
        each if isinstance(each, int) else sum(each)
        for each in (spec.expected_counts or {}).values()
    )
    with progress.bar(console, f"reading {path.name}", total) as on_item:
        try:
            return reader(path, on_item, **options)
        except OSError as error:
            where = error.filename or path
            said = f"cannot read {where}: {refusals.problem(error)}"
            fix = refusals.advice(error, "")
            raise UserError(f"{said}{'; ' if fix else ''}{fix}.") from error
