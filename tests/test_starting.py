"""Starting from other weights, and what is said of it."""

import numpy as np
import pytest
import tiny

from ferjax import classifier, experiment, models, starting, step
from ferjax.errors import UserError
from ferjax.models import weights


def named(parts, state):
    return weights.named(step.merge_model(parts.graphdef, state.weights))


def test_a_run_can_start_from_another(finished, data_dir, tmp_path):
    workdir, _, _ = finished
    parts = experiment.build(tiny.config(data_dir, init_from=str(workdir)))
    said = []
    state = starting.initial_state(parts, tmp_path, report=said.append)
    origin, best, _ = classifier.restore(workdir)
    expected = weights.named(step.merge_model(origin.graphdef, best))
    found = named(parts, state)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert int(state.step) == 0
    assert said == [f"{len(expected)} arrays from the weights of {workdir}."]


def test_a_file_leaves_the_classifier_fresh(finished, data_dir, tmp_path):
    parts = experiment.build(tiny.config(data_dir))
    model = parts.model(7)
    arrays = {
        name: array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        for name, array in models.weights.named(model).items()
    }
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    parts = experiment.build(tiny.config(data_dir, init_from=str(path)))
    said = []
    state = starting.initial_state(parts, tmp_path, report=said.append)
    found, fresh = named(parts, state), named(parts, parts.init_state())
    np.testing.assert_array_equal(found["fc.weight"], fresh["fc.weight"])
    np.testing.assert_array_equal(
        found["conv1.weight"], arrays["conv1.weight"].transpose(2, 3, 1, 0)
    )
    assert "fc.bias, fc.weight start afresh: a file does not name its classes" in said[0]


def test_a_trunk_is_not_used_twice():
    config = tiny.module("attention_fusion").get_config("trunks=vgg11+vgg11")
    with pytest.raises(UserError, match=r"model\.trunks names vgg11 twice.*trunks_from=DIR\+DIR"):
        starting.stages(config)
