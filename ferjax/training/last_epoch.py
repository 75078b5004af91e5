"""The test of a run's last epoch, beside that of the epoch that validation selected.

Papers that keep the parameters at the end of training, as sun2021 does, report this one. It takes
no part in any choice, so that it leaves an honest run honest.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from ferjax.distributed import processes
from ferjax.errors import UserError
from ferjax.training import experiment
from ferjax.training import result as report
from ferjax.training.experiment import Experiment
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory


def fields(parts: Experiment, step: int, scores: dict[str, Any]) -> dict[str, Any]:
    """What result.json says of the last epoch, which ended with `step`."""
    return {"last": {"epoch": step // parts.steps_per_epoch, "step": step}, "test_last": scores}


def add(config: ConfigDict, directory: RunDirectory, result: dict[str, Any]) -> dict[str, Any]:
    """The result of a finished run with its last epoch tested, too; result.json gets it as well.

    Every process of the run calls it.

    Raises:
      UserError: the last checkpoint is gone, or is not that of the run's last step.
    """
    parts = experiment.build(config)
    step = result["num_steps"]
    say = print if processes.is_main() else _say_nothing
    checkpoints = Checkpoints(directory.path, report=say)
    try:
        # A run that trains nothing, as late fusion, has only the state that it began with.
        restored = checkpoints.restore("last" if step else "best", parts.abstract_state())
    finally:
        checkpoints.close()
    if restored is None or int(restored[0].step) != step:
        found = "none" if restored is None else f"step {int(restored[0].step)}"
        raise UserError(
            f"--report_last: {directory.path} needs its checkpoint of the last step, {step}, and "
            f"has {found}. Restore it from a copy, leave --report_last out to see the result as it "
            "is, or train again with it in an empty workdir."
        )
    state, meta = restored
    report.check_same_data(parts, meta, directory.path)
    say("Testing the last epoch, which result.json does not have yet.")
    evaluate = parts.evaluation(parts.protocol.test, tuple(config.evaluation.test_views))
    result = {**result, **fields(parts, step, evaluate(state.evaluated))}
    if processes.is_main():
        directory.check_held()
        directory.write_result(result)
    processes.wait_for_all("result")
    return result


def _say_nothing(_: str) -> None:
    """Where the main process reports already."""
