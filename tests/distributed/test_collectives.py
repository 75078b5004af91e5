"""What a training step of several devices sends between them."""

import ast

import pytest

FOUR_DEVICES = """
import sys
from tests.helpers import tiny
from ferjax.performance.program import collectives, hlo
from ferjax.training import experiment

seen = {}
for statistics in ("global", "per_device"):
    config = tiny.config(sys.argv[1])
    config.model.attention, config.model.batch_stats = "cbam", statistics
    run = experiment.build(config)
    state, batches = run.states.fresh(), run.training_input()
    program = run.train_step.lower(state, batches.table, next(batches)).compile()
    batches.close()
    kinds = collectives.count(hlo.parse(program.as_text()))
    seen[statistics] = {kind: each.number for kind, each in kinds.items()}
print(seen)
"""


@pytest.fixture(scope="module")
def seen(run_python, data_dir):
    output = run_python(["-c", FOUR_DEVICES, data_dir], devices=4).stdout
    return ast.literal_eval(output.splitlines()[-1])


@pytest.mark.parametrize("statistics", ["global", "per_device"])
def test_a_step_only_sums_over_devices(seen, statistics):
    assert set(seen[statistics]) == {"all-reduce"}


def test_own_statistics_spare_the_sums_of_every_batch_norm(seen):
    assert seen["per_device"]["all-reduce"] < seen["global"]["all-reduce"]
