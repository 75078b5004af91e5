"""The test of a run's last epoch, beside that of the epoch that validation selected.

Papers that keep the parameters at the end of training, as sun2021 does, report this one. It takes
no part in any choice, so that it leaves an honest run honest.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from ferjax.distributed import processes
from ferjax.errors import UserError
from ferjax.inference import agreement
from ferjax.inference.model_spec import ModelSpec
from ferjax.training import experiment
from ferjax.training.experiment import Experiment
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import RunDirectory


def fields(run: Experiment, step: int, scores: dict[str, Any]) -> dict[str, Any]:
    """What result.json says of the last epoch, which ended with `step`."""
    return {"last": {"epoch": step // run.spec.steps_per_epoch, "step": step}, "test_last": scores}


def add(config: ConfigDict, directory: RunDirectory, result: dict[str, Any]) -> dict[str, Any]:
    """The result of a finished run with its last epoch tested, too; result.json gets it as well.

    Every process of the run calls it.

    Raises:
      UserError: the last checkpoint is gone, or is not that of the run's last step.
    """
    run = experiment.build(config)
    step = result["num_steps"]
    # A run that trains nothing, as late fusion, has only the weights that it began with.
    stored = checkpoint_files.newest(directory.path, "last" if step else "best")
    if stored is None or stored.about.step != step:
        found = "none" if stored is None else f"step {stored.about.step}"
        raise UserError(
            f"--report_last: {directory.path} needs its checkpoint of the last step, {step}, and "
            f"has {found}. Restore it from a copy, leave --report_last out to see the result as it "
            "is, or train again with it in an empty workdir."
        )
    spec = ModelSpec.from_json(stored.about.spec, directory.path)
    agreement.check(directory.path, config=config, spec=spec)
    spec.check_same_data(run.data.source, directory.path)
    if processes.is_main():
        print("Testing the last epoch, which result.json does not have yet.")
    weights = stored.weights(run.states.abstract().evaluated)
    test = run.evaluator.over(run.data, run.protocol.test, tuple(config.evaluation.test_views))
    result = {**result, **fields(run, step, test(weights))}
    if processes.is_main():
        directory.check_held()
        directory.write_result(result)
    processes.wait_for_all("result")
    return result
