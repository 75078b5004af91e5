"""From a source that the user has to a prepared data set: read, check, fingerprint, write.

Everything is read and checked before the first byte is written.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from rich.console import Console

from ferjax.data import catalog, fer2013_formats, preparation_progress, storage
from ferjax.data.builders.fer2013 import Fer2013
from ferjax.data.catalog import DatasetSpec
from ferjax.data.examples import Examples
from ferjax.data.fingerprint import fingerprint_splits
from ferjax.errors import UserError

_READERS: dict[str, Callable[..., fer2013_formats.Reading]] = {"fer2013": fer2013_formats.read}
_BUILDERS: dict[str, Callable[..., Any]] = {"fer2013": Fer2013}


@dataclass(frozen=True)
class Prepared:
    """A prepared data set.

    Attributes:
      directory: where it lies.
      counts: for each split, the number of examples of each class.
      fingerprint: of its content.
      source_format: the form of the source it was made from.
      was_there: True if the same content had been prepared before, so that nothing was written.
    """

    directory: epath.Path
    counts: Mapping[str, tuple[int, ...]]
    fingerprint: str
    source_format: str
    was_there: bool


def prepare(
    spec: DatasetSpec,
    source: str | os.PathLike,
    data_dir: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
    console: Console | None = None,
) -> Prepared:
    """Prepares a data set.

    Args:
      spec: which one, with the counts it must have.
      source: what the user obtained: a zip, a folder or a file.
      data_dir: where to put it; the default of `storage.resolve` if None.
      overwrite: whether other content that is already there may be replaced.
      console: where progress is shown; nowhere if None.

    Raises:
      UserError: the source is missing, is not this data set, is damaged or incomplete; other
        content is there and `overwrite` is not set; or `data_dir` cannot be written.
    """
    console = console or Console(file=io.StringIO())
    path = Path(source).expanduser()
    if not path.exists():
        raise UserError(f"there is nothing at {path}.\n{spec.how_to_obtain}")
    if spec.expected_counts is None:
        raise ValueError(f"{spec.name} is made by ferjax and has no source")
    total = sum(map(sum, spec.expected_counts.values()))
    with preparation_progress.bar(console, f"reading {path.name}", total) as on_example:
        try:
            reading = _READERS[spec.name](path, on_example)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error}.") from error
    counts = check_counts(spec, path, reading.splits)
    fingerprint = fingerprint_splits(reading.splits)
    root = storage.resolve(data_dir)
    directory = storage.version_dir(root, spec.name)
    result = Prepared(directory, counts, fingerprint, reading.source_format, was_there=True)

    def on_wait() -> None:
        console.print("another preparation is writing here; waiting for it to end")

    try:
        with storage.exclusive(directory.parent, on_wait):
            there = storage.open_finished(directory)
            if there is not None:
                found = there.info.metadata["fingerprint"]
                if found == fingerprint:
                    return result
                if not overwrite:
                    raise UserError(
                        f"{directory} already holds {spec.title} with other content (fingerprint "
                        f"{found[:12]}..., that of {path} is {fingerprint[:12]}...). Pass "
                        "--overwrite to replace it, or another --data_dir to keep both."
                    )
            with (
                storage.replaced(directory),
                preparation_progress.bar(console, "writing", total) as on_example,
            ):
                _write(spec, reading, result, root, on_example)
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error}.") from error
    return Prepared(directory, counts, fingerprint, reading.source_format, was_there=False)


def check_counts(
    spec: DatasetSpec, path: Path, splits: Mapping[str, Examples]
) -> dict[str, tuple[int, ...]]:
    """The examples of each class by split; raises a UserError unless they are the known ones."""
    counts = {split: splits[split].counts(spec.labels.num_classes) for split in catalog.SPLITS}
    expected = spec.expected_counts or {}
    wrong = [
        f"  {split} {name}: {found} found, {wanted} expected"
        for split in catalog.SPLITS
        for name, found, wanted in zip(
            spec.labels.names, counts[split], expected[split], strict=True
        )
        if found != wanted
    ]
    if wrong:
        raise UserError(
            f"{path} does not hold all of {spec.title}, and nothing else: "
            f"{sum(map(sum, counts.values())):,} images found, "
            f"{sum(map(sum, expected.values())):,} expected.\n"
            + "\n".join(wrong)
            + "\nThe copy is incomplete or changed: download it again."
        )
    return counts


def summary(spec: DatasetSpec, prepared: Prepared) -> str:
    """What was prepared: a table of split by class, the fingerprint and the place."""
    names = ["split", *spec.labels.names, "total"]
    rows = [
        [split, *(f"{count:,}" for count in counts), f"{sum(counts):,}"]
        for split, counts in prepared.counts.items()
    ]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [names, *rows]
    ]
    done = "had been prepared before, with the same content" if prepared.was_there else "is ready"
    return "\n".join(
        [
            f"{spec.title} ({prepared.source_format}) {done}: {prepared.directory}",
            "",
            *lines,
            "",
            f"fingerprint {prepared.fingerprint}",
        ]
    )


def _write(
    spec: DatasetSpec,
    reading: fer2013_formats.Reading,
    result: Prepared,
    root: epath.Path,
    on_example: Callable[[], None],
) -> None:
    tfds.disable_progress_bar()
    builder = _BUILDERS[spec.name](
        splits=reading.splits,
        metadata={
            "fingerprint": result.fingerprint,
            "source_format": result.source_format,
            "counts": {split: list(counts) for split, counts in result.counts.items()},
        },
        on_example=on_example,
        data_dir=root,
        file_format="array_record",
    )
    # TFDS prints about a download that does not take place, and makes a folder for it.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        tempfile.TemporaryDirectory() as no_downloads,
    ):
        builder.download_and_prepare(download_dir=no_downloads)
