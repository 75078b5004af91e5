"""metadata.json of a prepared data set: what ferjax says of it beside what TFDS says."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from etils import epath

from ferjax import filesystem
from ferjax.stored_json import Count, Sha256

NAME = "metadata.json"


class Metadata(TypedDict):
    """The content of the file.

    Attributes:
      fingerprint: of the content of all splits; see `fingerprint`.
      source_format: what the data set was prepared from.
      counts: examples of each class, for each split.
    """

    fingerprint: Sha256
    source_format: NotRequired[str]
    counts: NotRequired[dict[str, list[Count]]]


def check(directory: epath.Path) -> None:
    """Checks the file before TFDS reads it; a folder without it is no finished data set.

    Raises:
      UserError: it cannot be read, or does not hold `Metadata`.
    """
    file = directory / NAME
    if file.exists():
        filesystem.read_json(file, Metadata, fix=f"delete {directory} and prepare it again")
