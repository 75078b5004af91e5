"""The files that an audit leaves: audit.html, audit.json and clean_test.json."""

from __future__ import annotations

import os
from pathlib import Path

from ferjax import local_files, refusals
from ferjax.data.audit import clean_index, report
from ferjax.data.audit import page as audit_page
from ferjax.data.audit.audit import Audit
from ferjax.data.dataset import Source
from ferjax.errors import UserError
from ferjax.filesystem import write_json

NAMES = ("audit.html", "audit.json", "clean_test.json")


def check(folder: Path) -> None:
    """Refuses, before any work, a folder where something else stands under a name of a file.

    Raises:
      UserError: as said, or the folder is none.
    """
    try:
        os.lstat(folder)
    except FileNotFoundError:
        return
    except OSError:
        pass  # the next says what it is
    try:
        local_files.check_folder(folder)
    except OSError as error:
        raise _not_written(folder, error) from None
    for name in NAMES:
        local_files.check_output("--output", folder / name)


def save(audit: Audit, source: Source, folder: Path, *, max_groups: int) -> list[Path]:
    """Writes all files, each whole or not at all, over those of an earlier audit.

    Args:
      audit: what was found.
      source: the data set that was audited.
      folder: made if it is not there.
      max_groups: how many groups each section of the page shows.

    Returns:
      The paths of the files.

    Raises:
      UserError: the folder cannot be made or written.
    """
    page, numbers, index = (folder / name for name in NAMES)
    try:
        local_files.make_folder(folder)
        local_files.write(page, audit_page.page(audit, max_groups).encode())
        write_json(numbers, report.result(audit))
        clean_index.write_clean_index(index, source, audit.findings.clean)
    except OSError as error:
        raise _not_written(folder, error) from error
    return [page, numbers, index]


def _not_written(folder: Path, error: OSError) -> UserError:
    problem = refusals.problem(error)
    return UserError(f"cannot write to {folder} ({problem}): name another folder with --output.")
