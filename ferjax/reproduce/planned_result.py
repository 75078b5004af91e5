"""The result of a planned run, if its folder holds this run and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ferjax import filesystem
from ferjax.config import stored
from ferjax.inference import agreement
from ferjax.reproduce.study import Run
from ferjax.workdir.directory import STARTS, RunDirectory, differences


def read(run: Run, on_left_out: Callable[[str], None]) -> dict[str, Any] | None:
    """The content of result.json of a finished run; None where there is none.

    Args:
      run: what was planned.
      on_left_out: called with a sentence for a folder that holds the run of another config.

    Raises:
      UserError: files of the run are damaged or of two runs.
    """
    if not filesystem.is_there(run.folder):
        return None
    directory = RunDirectory(run.folder)
    result = directory.result()
    if result is None:
        return None
    config = stored.of_run(directory)
    agreement.check(run.folder, config=config, result=result)
    told, wanted = (json.loads(one.to_json()) for one in (config, run.config))
    others = list(differences(told, wanted, besides=STARTS))
    if others:
        on_left_out(f"{run.folder} is left out: it holds the run of another config ({others[0]}).")
        return None
    return result
