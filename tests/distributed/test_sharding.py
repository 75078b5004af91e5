"""Which arrays of a training state are split over the devices, and that they stay so."""

import ast

import numpy as np
import pytest

from ferjax.distributed import sharding

# (shape, how it is split over four devices)
RULE = [
    ((3, 3, 64, 128), (None, None, None, "data")),  # along the longest axis
    ((25088, 512), ("data",)),
    ((128, 128), (None, "data")),  # along the last of equal ones
    ((4098, 64), (None, "data")),  # 4098 does not divide by 4
    ((127, 130), ()),  # none does
    ((3, 3, 3, 64), ()),  # too small
    ((), ()),
]

FOUR_DEVICES = """
import sys
import jax, numpy as np
from tests.distributed import test_sharding
from tests.helpers import tiny
from ferjax.distributed import sharding
from ferjax.training import experiment

def bytes_of(state):
    shards = [s for leaf in jax.tree.leaves(state) for s in leaf.addressable_shards]
    return [sum(s.data.nbytes for s in shards if s.device == device) for device in jax.devices()]

seen = {}
shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape, _ in test_sharding.RULE]
for placement in sharding.PLACEMENTS:
    rule = sharding.over_devices(shapes, sharding.make_mesh(), placement)
    config = tiny.config(sys.argv[1], train__parameter_placement=placement)
    config.model.width = 16
    run = experiment.build(config)
    state, batches = run.states.fresh(), run.training_input()
    before = bytes_of(state)
    state, values = run.train_step(state, batches.table, next(batches))
    batches.close()
    seen[placement] = {
        "rule": [tuple(each.spec) for each in rule],
        "before": before,
        "after": bytes_of(state),
        "whole": sum(leaf.nbytes for leaf in jax.tree.leaves(state)),
        "loss": float(values["loss"]),
    }
print(seen)
"""


@pytest.fixture(scope="module")
def seen(run_python, data_dir):
    output = run_python(["-c", FOUR_DEVICES, data_dir], devices=4).stdout
    return ast.literal_eval(output.splitlines()[-1])


def test_large_arrays_are_split_along_their_longest_axis(seen):
    assert seen["sharded"]["rule"] == [split for _, split in RULE]
    assert seen["replicated"]["rule"] == [()] * len(RULE)


def test_each_device_holds_its_share_before_and_after_a_step(seen):
    whole, split = seen["replicated"], seen["sharded"]
    assert whole["before"] == whole["after"] == [whole["whole"]] * 4
    assert split["before"] == split["after"] and split["whole"] == whole["whole"]
    # A quarter of nearly all of it: the small arrays of a narrow network stay whole.
    assert max(split["after"]) < 0.4 * split["whole"]
    assert split["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_another_placement_is_refused():
    with pytest.raises(ValueError, match=r"placement is 'shard'; .* 'sharded"):
        sharding.over_devices(np.zeros(4), sharding.make_mesh(), "shard")
