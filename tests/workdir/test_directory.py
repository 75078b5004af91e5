"""A run directory belongs to one config, and to one process at a time."""

import fcntl
import json
import pathlib

import pytest

from ferjax.errors import UserError
from ferjax.training import sweep
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny


def claim(folder, config):
    with RunDirectory(folder).claim(config):
        pass


def test_config_survives_the_file(tmp_path):
    config = tiny.config(tmp_path)
    claim(tmp_path / "run", config)
    again = RunDirectory(tmp_path / "run").config()
    assert again.to_json() == config.to_json()


def test_another_config_is_refused_with_the_differences(tmp_path):
    claim(tmp_path / "run", tiny.config(tmp_path))
    (tmp_path / "run" / "checkpoints" / "best" / "5").mkdir(parents=True)
    other = tiny.config(tmp_path, "attention=none,loss=softmax", optimizer__learning_rate=0.5)
    with pytest.raises(UserError) as error:
        claim(tmp_path / "run", other)
    assert "another config: loss.name is 'island' there and 'softmax' here" in str(error.value)
    assert "optimizer.learning_rate is 0.02 there and 0.5 here" in str(error.value)


def test_a_run_without_a_checkpoint_takes_another_config(tmp_path):
    claim(tmp_path / "run", tiny.config(tmp_path))
    (tmp_path / "run" / "checkpoints" / "best").mkdir(parents=True)
    other = tiny.config(tmp_path, optimizer__learning_rate=0.5)
    claim(tmp_path / "run", other)
    assert RunDirectory(tmp_path / "run").config().to_json() == other.to_json()


def test_moving_the_data_is_no_other_config(tmp_path):
    claim(tmp_path / "run", tiny.config(tmp_path))
    (tmp_path / "run" / "checkpoints" / "best" / "5").mkdir(parents=True)
    claim(tmp_path / "run", tiny.config(tmp_path / "elsewhere", dataset__placement="host"))


def test_moving_the_data_of_a_fusion_moves_those_of_its_trunks(tmp_path):
    config = tiny.module("attention_fusion").get_config("dataset=synthetic")
    claim(tmp_path / "run", config)
    (tmp_path / "run" / "checkpoints" / "best" / "5").mkdir(parents=True)
    config.dataset.data_dir, config.seed = str(tmp_path), 3
    for stage in config.stages.values():
        assert (stage.dataset.data_dir, stage.seed) == (str(tmp_path), 3)
    config.seed = 0
    claim(tmp_path / "run", config)


def test_checkpoints_without_a_config_are_refused(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match=r"checkpoints but no config\.json"):
        claim(tmp_path / "run", tiny.config(tmp_path))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        claim(tmp_path / "run", tiny.config(tmp_path))


def test_a_second_process_is_refused(tmp_path):
    with (
        RunDirectory(tmp_path / "run").claim(tiny.config(tmp_path)),
        pytest.raises(UserError, match="in use by another process"),
    ):
        claim(tmp_path / "run", tiny.config(tmp_path))
    claim(tmp_path / "run", tiny.config(tmp_path))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a run directory"):
        RunDirectory(tmp_path).config()


def test_a_damaged_config_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"a": 1})[:-2])
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        RunDirectory(tmp_path).config()


def test_a_damaged_result_is_refused(tmp_path):
    (tmp_path / "result.json").write_text('{"form')
    with pytest.raises(
        UserError, match=r"result\.json is damaged .*: the command of the run makes"
    ):
        RunDirectory(tmp_path).result()


def test_an_unfinished_save_is_no_checkpoint(tmp_path):
    (tmp_path / "checkpoints" / "best" / "5.orbax-checkpoint-tmp").mkdir(parents=True)
    assert not RunDirectory(tmp_path).has_checkpoint
    (tmp_path / "checkpoints" / "last" / "5").mkdir(parents=True)
    assert RunDirectory(tmp_path).has_checkpoint


def test_a_file_system_without_locks_is_called_that(tmp_path, monkeypatch):
    def no_locks(file, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.raises(
            UserError, match=r"cannot be locked \(No locks available\), so that two runs"
        ),
        RunDirectory(tmp_path).claim(tiny.config("data")),
    ):
        pass


def test_a_folder_that_cannot_be_searched_is_reported(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pathlib.Path, "exists", denied)
    with pytest.raises(UserError, match=r"config\.json cannot be looked at .*Permission denied"):
        sweep.run(tiny.config("data"), str(tmp_path), num_seeds=2)
