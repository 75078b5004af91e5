"""The fields of a config, and configs that were written before there were all of them."""

import json
import shutil

import numpy as np

from ferjax.config import fields
from ferjax.training import restored
from tests.helpers import tiny


def test_a_config_keeps_its_values_and_gets_the_fields_that_it_lacks(data_dir):
    config = tiny.config(data_dir, optimizer__momentum=0.5)
    del config.optimizer.epsilon, config.optimizer.plateau.cooldown
    del config.compilation_cache
    made = fields.completed(config)
    assert made.optimizer.epsilon == 1e-8 and made.optimizer.plateau.cooldown == 0
    assert made.compilation_cache == "" and "epsilon" not in config.optimizer
    assert made.optimizer.momentum == 0.5 and made.model.to_dict() == config.model.to_dict()


def test_a_run_of_an_older_version_can_be_used(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config = json.loads((workdir / "config.json").read_text())
    del config["optimizer"]["epsilon"]
    (workdir / "config.json").write_text(json.dumps(config))
    faces = np.full((2, 16, 16, 1), 99, np.uint8)
    found, _ = restored.classifier(workdir)(faces)
    expected, _ = restored.classifier(finished[0])(faces)
    np.testing.assert_array_equal(found, expected)
