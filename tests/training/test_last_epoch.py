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
from ferjax.workdir import predictions
from tests.helpers import tiny
from tests.helpers.tiny import as_json

LAST = {"epoch": 3, "step": 15}


@pytest.fixture(scope="module")
def expected(finished):
    """Scores of the last checkpoint of the shrunk run, as `evaluate` makes them."""
    workdir, config, _ = finished
    trained = TrainedModel.load(workdir, "last", config=config)
    views = config.evaluation.test_views
    run = FinishedRun(trained, config, (), dict.fromkeys(views, 2.0))
    return without_temperature(as_json(run.on_own_data("test", views).scores))


def without_temperature(scores):
    """The scores but for those after a temperature, which `evaluate` takes from the run."""
    for groups in scores.values():
        for metrics in groups.values():
            assert set(metrics.pop("calibrated")) == {"loss", "calibration_error"}
    return scores


def check_last(workdir, result, expected):
    """The last epoch has its scores, temperature and predictions."""
    last = result["last"]
    assert {name: last[name] for name in LAST} == LAST
    assert list(last["temperature"]) == list(result["test"])
    for split, stored in last["predictions"].items():
        found = predictions.read(filesystem.of(workdir), f"{split}_last", stored["sha256"])
        assert found.split == split and set(found.probabilities) == set(result["test"])
    assert without_temperature(as_json(result["test_last"])) == expected


def written(workdir):
    return json.loads((workdir / "result.json").read_text())


def test_a_resumed_run_reports_both(finished, expected, data_dir, tmp_path):
    config = tiny.config(data_dir)
    with tiny.stopped_while_writing(6), pytest.raises(Interrupted):
        loop.train(config, str(tmp_path / "run"), report_last=True)
    result = as_json(loop.train(config, str(tmp_path / "run"), report_last=True))
    assert written(tmp_path / "run") == result
    assert result["test"] == as_json(finished[2]["test"])
    check_last(tmp_path / "run", result, expected)
    # Else this would prove nothing.
    assert result["selection"]["epoch"] < 3 and result["test_last"] != result["test"]


def test_a_finished_run_is_given_it(finished, expected, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config_file = (workdir / "config.json").read_bytes()
    result = loop.train(finished[1], str(workdir), report_last=True)
    check_last(workdir, result, expected)
    assert as_json({**result, "last": 0, "test_last": 0}) == as_json(
        {**finished[2], "last": 0, "test_last": 0}
    )
    assert written(workdir) == as_json(result)
    assert (workdir / "config.json").read_bytes() == config_file
    # Once it is there nothing is tested again, with the flag or without it.
    shutil.rmtree(workdir / "checkpoints")
    for flag in (True, False):
        assert loop.train(finished[1], str(workdir), report_last=flag) == written(workdir)


def test_a_result_of_format_1_is_given_it_and_printed(finished, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    fields = to_format_1(written(workdir))
    (workdir / "result.json").write_text(json.dumps(fields))
    result = loop.train(finished[1], str(workdir), report_last=True)
    assert result["format"] == 1 and "temperature" not in result and "test_last" in result
    print_result(written(workdir), filesystem.of(workdir))
    assert "Balance and calibration" in capsys.readouterr().out  # of the last epoch alone


def to_format_1(fields):
    """A result.json as earlier versions wrote it."""
    new = ("balanced_accuracy", "top2_accuracy", "calibration_error", "intervals", "calibrated")
    fields = {**fields, "format": 1}
    del fields["temperature"], fields["predictions"]
    for groups in fields["test"].values():
        for metrics in groups.values():
            for name in new:
                del metrics[name]
    return fields


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
