"""Makes a report and writes it: index.html, and its figures as PNG and SVG."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferjax import filesystem
from ferjax.cli import output, pages
from ferjax.errors import UserError
from ferjax.filesystem import Place

if TYPE_CHECKING:
    from ferjax.analysis.report.facts import RunFacts

_NEEDED = ("matplotlib", "sklearn")


def report(
    workdirs: Sequence[str],
    folder: str | None = None,
    *,
    data_dir: str | None = None,
    embedding: str = "pca",
    view: str | None = None,
    group: str | None = None,
) -> Place:
    """Writes the report of finished runs; returns the place of the page.

    Args:
      workdirs: their folders.
      folder: where to write; `report` in the folder of the first by default.
      data_dir: where their data sets are; where each run had its own by default.
      view: the test-time view of the headlines and figures; see `facts.read`.
      group: likewise, the group of test images.
      embedding: how features are shown in two dimensions, one of `plane.METHODS`.

    Raises:
      UserError: a package is missing, a run is not finished or damaged, or nothing can be written.
    """
    lacking = missing()
    if lacking:
        raise UserError(
            f"A page needs {' and '.join(lacking)}: pip install -e '.[analysis]' installs them."
        )
    from ferjax.analysis.report import content, facts, sections, seen

    names = facts.names(list(workdirs))
    runs = [facts.read(path, name, view, group) for path, name in zip(workdirs, names, strict=True)]
    place = filesystem.of(folder) if folder else runs[0].where / "report"
    _make(place)  # before minutes of work
    _check_classes(runs)
    shown, said = seen.opened(runs, data_dir)
    made = sections.all_of(runs, shown, embedding)
    for text in said:
        output.say(text, file=sys.stderr)
    title = f"{runs[0].result['dataset']}: {', '.join(names)}"
    text = pages.template("ferjax.analysis.report", "page.html").render(
        title=title,
        alarms=content.alarms(runs),
        headlines=[content.headline(one) for one in runs],
        sections=made,
        missing=said,
    )
    _write(place, "index.html", text.encode())
    for section in made:
        for figure in section.figures:
            _write(place, f"{figure.name}.png", figure.png)
            _write(place, f"{figure.name}.svg", figure.svg_file().encode())
    return place / "index.html"


def _check_classes(runs: Sequence[RunFacts]) -> None:
    first, *others = runs
    for one in others:
        if one.result["labels"] != first.result["labels"]:
            raise UserError(
                f"{one.name} has the classes {', '.join(one.result['labels'])}, and {first.name} "
                f"{', '.join(first.result['labels'])}. A page shows runs with the same classes in "
                "the same order: write one for each."
            )


def missing() -> list[str]:
    """The packages of the extra `analysis` that are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def _make(place: Place) -> None:
    try:
        filesystem.make_folder(place)
    except OSError as error:
        raise _cannot_be_written(place, error) from None


def _write(place: Place, name: str, data: bytes) -> None:
    try:
        filesystem.write(place / name, data)
    except OSError as error:
        raise _cannot_be_written(place / name, error) from None


def _cannot_be_written(place: Place, error: OSError) -> UserError:
    return UserError(
        f"{place} cannot be written ({filesystem.problem(place, error)}); name another folder "
        "with --output."
    )
