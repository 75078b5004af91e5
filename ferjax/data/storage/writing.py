"""Lets TFDS write a data set, and says what the machine refuses."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from ferjax import filesystem, refusals
from ferjax.errors import UserError


def write(make: Callable[[], Any]) -> None:
    """Writes the data set of the TFDS builder that `make` returns.

    Raises:
      OSError: the machine refuses it, for example because the disk is full.
    """
    tfds.disable_progress_bar()
    verbosity = logging.get_verbosity()
    # TFDS warns of a configuration that it has not been told of before.
    logging.set_verbosity(logging.ERROR)
    try:
        # It prints about a download that does not take place, and makes a folder for it.
        with (
            contextlib.redirect_stdout(io.StringIO()),
            tempfile.TemporaryDirectory() as no_downloads,
        ):
            make().download_and_prepare(download_dir=no_downloads)
    except RuntimeError as error:
        refusal = refusals.behind(error)
        if refusal is None:
            raise
        raise refusal from error
    finally:
        logging.set_verbosity(verbosity)


def refused(directory: epath.Path, error: OSError) -> UserError:
    """The error for a data set that cannot be written."""
    said = filesystem.problem(directory, error)
    at = error.filename if isinstance(error.filename, str) else ""
    if at and not Path(os.path.abspath(at)).is_relative_to(os.path.abspath(directory.parent)):
        said = f"{at}: {said}"  # the source, or the folder of temporary files
    return UserError(
        f"cannot write to {directory}: {said}; make room there, let it be written, or name another "
        "data directory."
    )
