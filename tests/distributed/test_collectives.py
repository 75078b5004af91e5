"""What a training step of several devices sends between them."""

import ast

import pytest

FOUR_DEVICES = """
import sys
from tests.helpers import tiny
from ferjax.performance.program import collectives, hlo
from ferjax.models.ops import affine
from ferjax.training import experiment

counted = affine.of_a_device


def count(batch):
    assert (batch, counted(batch)) == (16, 4), batch
    seen["counts"] = seen.get("counts", 0) + 1
    return counted(batch)


affine.of_a_device = count
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


def test_the_model_knows_how_many_images_a_device_has(seen):
    assert seen["counts"] > 0


def test_own_statistics_spare_the_sums_of_every_batch_norm(seen):
    assert seen["per_device"]["all-reduce"] < seen["global"]["all-reduce"]
