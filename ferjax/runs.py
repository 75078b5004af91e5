"""One run, or one per seed below a common folder."""

from __future__ import annotations

import copy
from pathlib import Path

from ml_collections import ConfigDict

from ferjax import report
from ferjax.rundir import write_json
from ferjax.train import train


def run(config: ConfigDict, workdir: str, *, num_seeds: int = 1) -> None:
    """Trains `num_seeds` runs that differ in their seed alone, and prints what came out.

    One seed uses `workdir` itself. Several use `workdir/seed_N` each, starting with the config's
    seed, and `workdir/result.json` for mean, standard deviation and confidence interval.
    """
    if num_seeds == 1:
        report.print_result(train(config, workdir), Path(workdir))
        return
    results = []
    for seed in range(config.seed, config.seed + num_seeds):
        one = copy.deepcopy(config)  # with its references: trunks take their seed from it
        one.seed = seed
        folder = Path(workdir) / f"seed_{seed}"
        results.append(train(one, str(folder)))
        report.print_result(results[-1], folder)
    summary = report.summarise(results)
    write_json(Path(workdir) / "result.json", summary)
    report.print_summary(summary)
