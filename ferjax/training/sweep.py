"""One run, or one per seed and per fold below a common folder."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax import filesystem
from ferjax.cli import output
from ferjax.config import checks
from ferjax.config.fields import FIELDS
from ferjax.data.splits.splitters import ALL_FOLDS
from ferjax.data.splits.stratify import NUM_FOLDS
from ferjax.distributed import processes
from ferjax.errors import UserError
from ferjax.evaluation import summaries
from ferjax.filesystem import Place, write_json
from ferjax.training import profiling
from ferjax.training.loop import train
from ferjax.training.result import print_result

# A number that the runs differ in: its name, with which their folders' names begin, and its values.
Axis = tuple[str, Sequence[int]]


def run(
    config: ConfigDict,
    workdir: str,
    *,
    num_seeds: int = 1,
    profile_steps: str | None = None,
    report_last: bool = False,
    draws: bool = False,
) -> None:
    """Trains, and prints the results.

    One run uses `workdir` itself. Several seeds use `workdir/seed_N` each, starting with the
    config's seed; all folds of a data set (fold=-1) use `fold_N`; both use `seed_N/fold_M`. A
    folder of runs gets a result.json with mean and standard deviation (see `summaries`). With
    `report_last` each run also tests its last epoch; with `draws` TensorBoard gets images.

    Raises:
      UserError: see `checks.check` and `loop.train`.
    """
    checks.check(config)
    axes: list[Axis] = []
    if num_seeds > 1:
        # Before the first run, not after hours of those that can be.
        last = config.seed + num_seeds - 1
        FIELDS["seed"].check(f"The last seed of --seeds={num_seeds}", last)
        axes.append(("seed", range(config.seed, config.seed + num_seeds)))
    if config.dataset.options.get("fold") == ALL_FOLDS:
        axes.append(("fold", range(NUM_FOLDS)))
    if profile_steps is not None:
        profiling.parse_steps(profile_steps)
        if axes:
            raise UserError("--profile_steps traces one run; leave out --seeds, and name a fold.")
    one = functools.partial(
        train, profile_steps=profile_steps, report_last=report_last, draws=draws
    )
    _run(config, filesystem.of(workdir), axes, one)


def _run(
    config: ConfigDict,
    folder: Place,
    axes: Sequence[Axis],
    train_one: Callable[[ConfigDict, str], dict[str, Any]],
) -> dict[str, Any]:
    if not axes:
        result = train_one(config, str(folder))
        if processes.is_main():
            with output.optional():
                print_result(result, folder)
        return result
    if filesystem.is_there(folder / "config.json"):
        raise UserError(
            f"{folder} is the folder of one run, and this command makes several; name another "
            "workdir."
        )
    over, values = axes[0]
    outcomes = []
    for value in values:
        one = copy.deepcopy(config)  # with its references: trunks take seed and fold from it
        if over == "seed":
            one.seed = value
        else:
            one.dataset.options.fold = value
        outcomes.append(_run(one, folder / f"{over}_{value}", axes[1:], train_one))
    summary = summaries.summarise(over, values, outcomes)
    if processes.is_main():
        write_json(folder / "result.json", summary)
        with output.optional():
            summaries.print_summary(summary)
    return summary
