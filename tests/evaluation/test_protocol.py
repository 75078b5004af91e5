"""An honest protocol is what it says, and a paper's own is labelled wherever it appears."""

import dataclasses

import numpy as np
import pytest

from ferjax.evaluation.protocol import Protocol
from ferjax.training import experiment, loop
from ferjax.training.result import print_result
from tests.helpers import tiny


def test_honest_means_selected_on_validation_and_tested_on_test():
    protocol = Protocol("honest", "validation", "test")
    assert protocol.label == "honest" and protocol.remark == ""
    for other in ({"selection": "test"}, {"test": "validation+test"}, {"leak": "persons leak"}):
        with pytest.raises(ValueError, match="is not honest"):
            dataclasses.replace(protocol, **other)


def test_the_papers_own_protocol_is_called_optimistic(data_dir, tmp_path, capsys):
    config = tiny.config(data_dir, "attention=none,protocol=paper", train__num_epochs=1)
    config.optimizer.warmup_epochs = 0.0
    result = loop.train(config, str(tmp_path))
    assert result["protocol"] == "optimistic" and result["selection"]["split"] == "test"
    # The epoch was selected on what is reported.
    assert result["selection"]["accuracy"] == result["test"]["single"]["test"]["accuracy"]
    assert "OPTIMISTIC: selected on test" in capsys.readouterr().err
    print_result(result, tmp_path)
    assert capsys.readouterr().out.count("OPTIMISTIC") >= 2


def test_a_union_of_splits_counts_every_example_once(data_dir):
    config = tiny.config(data_dir)
    config.protocol.update(name="paper", selection="validation+test", test="validation+test")
    run = experiment.build(config)
    data = run.data
    both = data.examples("validation+test")
    assert len(both) == len(data.examples("validation")) + len(data.examples("test")) == 56
    parts_of = [run.data.examples(split) for split in ("validation", "test")]
    np.testing.assert_array_equal(both.images, np.concatenate([part.images for part in parts_of]))
    np.testing.assert_array_equal(both.labels, np.concatenate([part.labels for part in parts_of]))
    assert run.data.groups("validation+test")["validation+test"].sum() == 56
