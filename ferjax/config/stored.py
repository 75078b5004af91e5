"""The config of a run that has begun, out of its folder."""

from __future__ import annotations

from ml_collections import ConfigDict

from ferjax import filesystem
from ferjax.config import checks, fields
from ferjax.errors import UserError
from ferjax.workdir.directory import RunDirectory


def of_run(directory: RunDirectory) -> ConfigDict:
    """The config of a run: complete, and checked as one that a run is to be made of.

    Raises:
      UserError: the folder is no run, or its config.json is damaged; the message names the file,
        the field, what was found, what is expected, and the fix.
    """
    found = directory.config()
    try:
        config = fields.completed(found)
        checks.check(config)
    except UserError as error:
        raise UserError(
            f"{directory.path}/config.json: {error} Restore it from a copy; a run keeps the config "
            "that it was made with."
        ) from None
    return config


def of_run_or_none(directory: RunDirectory) -> ConfigDict | None:
    """As `of_run`; None where the folder has no config.json, as that of a checkpoint alone."""
    there = filesystem.is_there(directory.path / "config.json")
    return of_run(directory) if there else None
