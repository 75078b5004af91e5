"""--report_last: the last epoch is tested beside the selected one, and never instead of it."""

import json
import shutil

import pytest

from ferjax import filesystem
from ferjax.errors import Interrupted, UserError
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.inference.trained_model import TrainedModel
from ferjax.training import loop
from ferjax.training.result import print_result
from tests.helpers import tiny
from tests.helpers.tiny import as_json

LAST = {"epoch": 3, "step": 15}


@pytest.fixture(scope="module")
def expected(finished):
    """Scores of the last checkpoint of the shrunk run, as `evaluate` makes them."""
    workdir, config, _ = finished
    run = FinishedRun(TrainedModel.load(workdir, "last", config=config), config, (), {})
    return as_json(run.on_own_data("test", config.evaluation.test_views).scores)


def written(workdir):
    return json.loads((workdir / "result.json").read_text())


def test_a_resumed_run_reports_both(finished, expected, data_dir, tmp_path):
    config = tiny.config(data_dir)
    with tiny.stopped_while_writing(6), pytest.raises(Interrupted):
        loop.train(config, str(tmp_path / "run"), report_last=True)
    result = as_json(loop.train(config, str(tmp_path / "run"), report_last=True))
    assert written(tmp_path / "run") == result
    assert result["test"] == as_json(finished[2]["test"])
    assert result["test_last"] == expected and result["last"] == LAST
    # Else this would prove nothing.
    assert result["selection"]["epoch"] < 3 and result["test_last"] != result["test"]


def test_a_finished_run_is_given_it(finished, expected, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config_file = (workdir / "config.json").read_bytes()
    result = loop.train(finished[1], str(workdir), report_last=True)
    assert as_json(result) == as_json({**finished[2], "last": LAST, "test_last": expected})
    assert written(workdir) == as_json(result)
    assert (workdir / "config.json").read_bytes() == config_file
    # Once it is there nothing is tested again, with the flag or without it.
    shutil.rmtree(workdir / "checkpoints")
    for flag in (True, False):
        assert loop.train(finished[1], str(workdir), report_last=flag) == written(workdir)


def test_without_the_last_checkpoint_it_says_what_to_do(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    before = (workdir / "result.json").read_bytes()
    shutil.rmtree(workdir / "checkpoints" / "last" / "15")
    with pytest.raises(UserError, match=r"last step, 15, and has step 10\. .*leave --report_last"):
        loop.train(finished[1], str(workdir), report_last=True)
    assert (workdir / "result.json").read_bytes() == before


@pytest.mark.parametrize("protocol", ["honest", "optimistic"])
def test_it_is_printed_apart_and_with_its_label(finished, expected, capsys, protocol):
    result = as_json(finished[2]) | {"protocol": protocol, "last": LAST, "test_last": expected}
    print_result(result, filesystem.of("runs/one"))
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    remark = "" if protocol == "honest" else ", OPTIMISTIC"
    assert f"Test scores of seed 0{remark}" in lines
    assert f"Test scores of the last epoch, 3{remark}" in lines
    training = result["training"]
    start = f"In training, epoch {training['epoch']} had a loss of {training['loss']:.4f} and"
    assert any(line.startswith(start) for line in lines)
    # What older versions have written.
    for field in ("training", "warnings", "test_last", "last"):
        del result[field]
    print_result(result, filesystem.of("runs/one"))
    text = capsys.readouterr().out
    assert "In training" not in text and "last epoch" not in text
