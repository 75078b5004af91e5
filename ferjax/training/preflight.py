"""Checks before a run starts: config, weights of its paper, folder, data, and what is finished."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax.config import checks
from ferjax.distributed import forks, processes
from ferjax.errors import UserError
from ferjax.inference import agreement
from ferjax.inference.model_spec import ModelSpec
from ferjax.models import published
from ferjax.training import experiment
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import RunDirectory

# The longest time until a network file system shows a file of another machine.
_SHARED_SECONDS = 30.0


def check_start(config: ConfigDict) -> None:
    """Refuses an invalid config, and a run without the weights its paper starts from.

    Raises:
      UserError: see `checks.check` and `forks.check`; or the run or one of its trunks lacks these
        weights: the message names them, and the arguments that give them or do without.
    """
    forks.check()
    checks.check(config)
    lacking = []
    for stage in (config, *config.stages.values()):
        if stage.paper_start and not stage.init_from:
            fields = stage.model
            batch_norm = fields.get("batch_norm", False)
            lacking.append(published.file_of(fields.name, batch_norm=batch_norm))
    if not lacking:
        return
    if config.stages:
        ways = "trunk_init=FILE+FILE (trunks_from=DIR+DIR for trunks that are trained)"
    else:
        ways = "init_from=FILE"
    raise UserError(
        f"{config.paper} starts from ImageNet weights, and this run has none. Get "
        f"{' and '.join(lacking)} from {published.FOLDER} (third_party/weights.toml says more) and "
        f"give them as the config's argument {ways}; or give the argument from_scratch, which "
        "starts from fresh weights: its result is no row of the paper, and says so."
    )


@contextlib.contextmanager
def claimed(directory: RunDirectory, config: ConfigDict) -> Iterator[None]:
    """Claims the folder of a run once for all its processes, and holds it inside the block.

    Raises:
      UserError: see `RunDirectory.claim`; or the processes have different configs, or do not share
        the folder.
    """
    fields = config.to_json(sort_keys=True)
    digest = hashlib.sha256(fields.encode()).hexdigest()
    processes.check_equal("The config, by its SHA-256,", digest)
    with directory.claim(config) if processes.is_main() else contextlib.nullcontext():
        if jax.process_count() > 1:
            _check_shared(directory)
        yield


def _check_shared(directory: RunDirectory) -> None:
    """Process 0 leaves a mark, and all must find it."""
    token = processes.broadcast(secrets.token_hex(8))
    if processes.is_main():
        directory.mark(token)
    processes.wait_for_all("marked")
    deadline = time.monotonic() + _SHARED_SECONDS
    while directory.found_mark() != token:
        if time.monotonic() > deadline:
            raise UserError(
                f"Process {jax.process_index()} does not see what process 0 wrote to the workdir "
                f"{directory.path}; name a folder that all processes share."
            )
        time.sleep(0.2)


def open_data(config: ConfigDict) -> None:
    """With several processes, opens the data set, which process 0 makes first if needed.

    Raises:
      UserError: see `dataset.open_dataset`; or the processes have different data.
    """
    if jax.process_count() == 1:
        return
    data = experiment.build(config).data
    if processes.is_main():
        _ = data.source
    processes.wait_for_all("data")
    processes.check_equal("The fingerprint of the data set", data.source.fingerprint)


def check_finished(directory: RunDirectory, config: ConfigDict, result: Mapping[str, Any]) -> None:
    """Refuses a finished run whose files are of two runs; its checkpoints may have been removed.

    Raises:
      UserError: config.json, result.json and the best checkpoint do not say the same.
    """
    best = checkpoint_files.newest(directory.path, "best")
    agreement.check(
        directory.path,
        config=config,
        result=result,
        spec=None if best is None else ModelSpec.from_json(best.about.spec, directory.path),
        best_step=None if best is None else best.about.step,
    )
