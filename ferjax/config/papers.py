"""The numbers that the papers print, and the arguments that make each of their rows: papers.toml.

A row is one experiment. Its name is unique in its paper: a row that stands in two tables is the
same experiment, and one run serves both.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
import types
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from ferjax.errors import one_of

Metric = Literal["accuracy", "loss", "recall", "train_accuracy", "train_loss"]


@dataclasses.dataclass(frozen=True)
class Printed:
    """A number of a row.

    Attributes:
      dataset: fer2013, ck_plus or raf_db.
      metric: of the test images, unless its name begins with train.
      value: as printed: accuracies and recalls in %.
      class_name: of a recall.
      remark: what it contradicts, or that no count of images gives it.
    """

    dataset: str
    metric: Metric
    value: float
    class_name: str = ""
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One experiment of a paper, as a table has it.

    Attributes:
      name: names a folder.
      title: what the paper calls it.
      arguments: of the paper's config, joined by commas, without data set and seed.
      printed: the first number of a data set and metric is the row's own, others contradict it.
      trunks: the rows of this paper whose runs are its trunks, in the order of trunks=.
      imagenet: the key in `ferjax.models.published.FILES` of the weights that it starts from; ""
        for fresh weights, and where there are trunks.
      is_context: whether it is another author's number, which no config makes.
      remark: what is odd about it.
    """

    name: str
    title: str
    arguments: str
    printed: tuple[Printed, ...]
    trunks: tuple[str, ...] = ()
    imagenet: str = ""
    is_context: bool = False
    remark: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
      paper: the key of the paper, as in `config.paper` of its runs.
      config: path of the config file in the repository.
      datasets: of its numbers, in the paper's order, as the rows are.
      kind: scores, or the diagonals of confusion matrices.
      orderings: (lower, higher), names of rows of the paper, also of another table: what its text
        or numbers claim.
      reference: the row that a confusion matrix is compared with; "" for none.
      remark: what is odd about the paper, then about the table.
    """

    paper: str
    name: str
    title: str
    config: str
    datasets: tuple[str, ...]
    kind: Literal["scores", "confusion"]
    rows: tuple[Row, ...]
    orderings: tuple[tuple[str, str], ...]
    reference: str
    remark: str

    @property
    def key(self) -> str:
        """The paper and the table, such as sun2021/table5."""
        return f"{self.paper}/{self.name}"


@dataclasses.dataclass(frozen=True)
class TextNumber:
    """A number with its place, which is abstract, text, or, among all `numbers`, a table."""

    where: str
    dataset: str
    metric: Metric
    value: float
    class_name: str
    row: str
    remark: str


@dataclasses.dataclass(frozen=True)
class Paper:
    """Its tables, and the numbers of its abstract and text, which contradict them."""

    tables: tuple[Table, ...]
    texts: tuple[TextNumber, ...]


@functools.cache
def papers() -> Mapping[str, Paper]:
    """The register: the key of a paper -> its tables and numbers."""
    text = (resources.files("ferjax.config") / "papers.toml").read_text(encoding="utf-8")
    found = {key: _paper(key, **fields) for key, fields in tomllib.loads(text).items()}
    return types.MappingProxyType(found)


@functools.cache
def tables() -> Mapping[str, Table]:
    """The tables of all papers by key, such as sun2021/table5."""
    found = {table.key: table for paper in papers().values() for table in paper.tables}
    return types.MappingProxyType(found)


def table(key: str) -> Table:
    """The table of a key; a UserError lists those that exist if there is none."""
    one_of("The paper's table", key, tables())
    return tables()[key]


def rows(paper: str) -> Mapping[str, Row]:
    """The rows of a paper by name; a row of several tables has their titles, numbers and remarks.

    A UserError lists the papers if there is no such one.
    """
    same: dict[str, list[Row]] = {}
    for table in _known(paper).tables:
        for row in table.rows:
            same.setdefault(row.name, []).append(row)
    return types.MappingProxyType({name: _merged(found) for name, found in same.items()})


def numbers(paper: str) -> list[TextNumber]:
    """Every number that a paper prints, once: of its tables, then of its text; raises as `rows`."""
    of_tables = [
        TextNumber(where=table.name, row=row.name, **dataclasses.asdict(printed))
        for table in _known(paper).tables
        for row in table.rows
        for printed in row.printed
    ]
    return [*of_tables, *_known(paper).texts]


def _known(paper: str) -> Paper:
    one_of("The paper", paper, papers())
    return papers()[paper]


def _merged(same: list[Row]) -> Row:
    return dataclasses.replace(
        same[0],
        title="; ".join(dict.fromkeys(row.title for row in same)),
        printed=tuple(number for row in same for number in row.printed),
        remark=" ".join(filter(None, dict.fromkeys(row.remark for row in same))),
    )


# What papers.toml may leave out. An unknown key there is a TypeError here.
_NUMBER = {"metric": "accuracy", "class_name": "", "remark": ""}
_TABLE = {"orderings": (), "reference": "", "remark": ""}


def _paper(key: str, config: str, tables: Any, texts: Any = (), remark: str = "") -> Paper:
    of_all = {"paper": key, "config": config}
    return Paper(
        tuple(_table({**of_all, **_TABLE, **fields}, remark) for fields in tables),
        tuple(TextNumber(**{**_NUMBER, **fields}) for fields in texts),
    )


def _table(fields: dict[str, Any], remark: str) -> Table:
    fields["remark"] = " ".join(filter(None, (remark, fields["remark"])))
    fields["datasets"] = tuple(fields["datasets"])
    fields["orderings"] = tuple(map(tuple, fields["orderings"]))
    fields["rows"] = tuple(_row(row) for row in fields["rows"])
    return Table(**fields)


def _row(fields: dict[str, Any]) -> Row:
    trunks = tuple(fields.get("trunks", ()))
    printed = tuple(Printed(**{**_NUMBER, **number}) for number in fields["printed"])
    return Row(**{"arguments": "", **fields, "trunks": trunks, "printed": printed})
