"""The list of what can be had by name: `manifest.toml`."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, NotRequired, TypedDict

from ferjax import stored_json
from ferjax.errors import UserError, some
from ferjax.stored_json import Sha256, whole

FOLDER = Path(str(resources.files("ferjax.inference.shipped")))


class _Stored(TypedDict):
    kind: Literal["model", "detector"]
    about: str
    licence: str
    bytes: Annotated[int, whole(1)]
    sha256: Sha256
    card: NotRequired[str]
    file: NotRequired[str]
    address: NotRequired[str]


class Entry(NamedTuple):
    """Something that can be had by name.

    Attributes:
      name: its name.
      kind: "model" or "detector".
      about: what it is, in a line.
      licence: of its weights.
      num_bytes: size of its file.
      sha256: checksum of its file.
      card: the model card, a text in Markdown; None for a detector.
      file: the file, if ferjax carries it.
      address: where it is fetched from otherwise; else "".
    """

    name: str
    kind: str
    about: str
    licence: str
    num_bytes: int
    sha256: str
    card: Path | None
    file: Path | None
    address: str


@functools.cache
def entries() -> dict[str, Entry]:
    """All entries by name, in the order of the list."""
    return parse((FOLDER / "manifest.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Entry]:
    """The entries of a list.

    Raises:
      stored_json.Unfit: a field is missing or unknown; both or none of file and address are there;
        or a model has no card, or a detector has one.
    """
    found = {}
    for name, fields in tomllib.loads(text).items():
        stored_json.check(fields, _Stored)
        unknown = set(fields) - set(_Stored.__annotations__)
        described = ("card" in fields) == (fields["kind"] == "model")
        if unknown or not described or ("file" in fields) == ("address" in fields):
            raise stored_json.Unfit(f"{name} has the fields {sorted(fields)}")
        found[name] = Entry(
            name,
            fields["kind"],
            fields["about"],
            fields["licence"],
            fields["bytes"],
            fields["sha256"],
            FOLDER / fields["card"] if "card" in fields else None,
            FOLDER / fields["file"] if "file" in fields else None,
            fields.get("address", ""),
        )
    return found


def entry(name: str, kind: str | None = None) -> Entry:
    """The entry of a name.

    Raises:
      UserError: there is none, or one of another kind.
    """
    found = entries().get(name)
    if found is None or kind not in (None, found.kind):
        names = [one.name for one in entries().values() if kind in (None, one.kind)]
        raise UserError(
            f"There is no {kind or 'model or detector'} {name!r}; expected {some(names, 20)}. "
            "python -m ferjax.models lists them."
        )
    return found
