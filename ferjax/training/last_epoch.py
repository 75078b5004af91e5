"""Tests the last epoch of a run, in addition to the epoch that validation selected.

Papers that keep the parameters at the end of training, such as sun2021, report the last epoch. It
selects nothing, so an honest run stays honest.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from ferjax.distributed import processes
from ferjax.errors import UserError
from ferjax.inference import agreement
from ferjax.inference.model_spec import ModelSpec
from ferjax.models.functional import Weights
from ferjax.training import experiment, final_test
from ferjax.training.experiment import Experiment
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import RunDirectory


def fields(run: Experiment, step: int, weights: Weights, directory: RunDirectory) -> dict[str, Any]:
    """Tests the last epoch, which ended with `step`; returns its fields of result.json."""
    tested = final_test.test(run, weights)
    last = {"epoch": step // run.spec.steps_per_epoch, "step": step}
    return {"last": last | tested.stored(directory, "_last"), "test_last": tested.scores}


def add(config: ConfigDict, directory: RunDirectory, result: dict[str, Any]) -> dict[str, Any]:
    """Tests the last epoch of a finished run; returns the new result, also in result.json.

    Every process of the run calls it.

    Raises:
      UserError: the checkpoint of the last step is gone, or is of another step.
    """
    run = experiment.build(config)
    step = result["num_steps"]
    # A run that trains nothing (late fusion) has only the weights that it started with.
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
    added = fields(run, step, weights, directory)
    result = {**result, **added}
    if processes.is_main():
        directory.check_held()
        directory.write_result(result)
    processes.wait_for_all("result")
    return result
