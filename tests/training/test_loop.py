"""A whole run of a shrunk config: its files, its numbers, its result."""

import dataclasses
import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest

from ferjax.config.fields import FIELDS
from ferjax.config.rules import Number
from ferjax.data import dataset
from ferjax.errors import Interrupted, SaveFailed, UserError
from ferjax.inference.model_spec import ModelSpec
from ferjax.training import experiment, loop, sweep
from ferjax.training.best_epoch import Selection
from ferjax.training.result import FORMAT
from ferjax.workdir.checkpoints import Checkpoints
from tests.helpers import tiny

EPOCHS, STEPS = 3, 5


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_metrics_have_each_step_and_each_epoch_once(finished):
    workdir, _, _ = finished
    steps = [row["step"] for row in rows(workdir) if row["kind"] == "train"]
    epochs = [(row["epoch"], row["step"]) for row in rows(workdir) if row["kind"] == "epoch"]
    assert steps == list(range(1, EPOCHS * STEPS + 1))
    assert epochs == [(1, 5), (2, 10), (3, 15)]


def test_epoch_rows_are_the_means_of_their_steps(finished):
    workdir, _, _ = finished
    steps = [row for row in rows(workdir) if row["kind"] == "train"]
    for row in rows(workdir):
        if row["kind"] == "epoch":
            inside = steps[row["step"] - STEPS : row["step"]]
            assert row["loss"] == pytest.approx(np.mean([step["loss"] for step in inside]))


def test_the_learning_rate_is_reduced_on_the_plateau(finished):
    workdir, config, _ = finished
    schedule = experiment.build(config).recipe.schedule
    steps = [row for row in rows(workdir) if row["kind"] == "train"]
    factors = [row["learning_rate"] / float(schedule(row["step"] - 1)) for row in steps[1:]]
    np.testing.assert_allclose(factors, [1.0] * 9 + [0.5] * 5, rtol=1e-5)


def test_loss_terms_add_up_to_the_loss(finished):
    workdir, config, _ = finished
    assert (config.loss.weight, config.loss.pairwise_weight) == (0.5, 0.5)
    for row in rows(workdir):
        if row["kind"] == "train":
            island = row["center_loss"] + 0.5 * row["pairwise_cosine"]
            assert row["loss"] == pytest.approx(row["softmax_loss"] + 0.5 * island, rel=1e-5)


def test_the_result_says_where_its_numbers_come_from(finished):
    workdir, config, result = finished
    assert json.loads((workdir / "result.json").read_text()) == tiny.as_json(result)
    assert result["protocol"] == "honest" and result["format"] == FORMAT
    assert len(result["fingerprint"]) == 64
    assert list(result["test"]) == ["single", "flip", "ten_crop"]
    for view in result["test"].values():
        assert view["test"]["num_examples"] == 35
        assert view["test_clean"]["num_examples"] <= 35
        assert len(view["test"]["per_class_recall"]) == 7
        assert np.sum(view["test"]["confusion"]) == 35
    best = max(row["validation_accuracy"] for row in rows(workdir) if row["kind"] == "epoch")
    assert result["selection"]["accuracy"] == best
    (chosen,) = [
        row
        for row in rows(workdir)
        if row["kind"] == "epoch" and row["epoch"] == result["selection"]["epoch"]
    ]
    assert result["training"] == {name: chosen[name] for name in ("epoch", "loss", "accuracy")}
    assert result["parameters"] == experiment.build(config).num_parameters
    assert result["versions"]["jax"] == jax.__version__


def test_running_it_again_changes_nothing(finished):
    workdir, config, result = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.json*")}
    assert tiny.as_json(loop.train(config, str(workdir))) == tiny.as_json(result)
    assert before == {path: path.stat().st_mtime_ns for path in workdir.rglob("*.json*")}


def test_another_config_in_its_workdir_is_refused(finished, data_dir):
    with pytest.raises(UserError, match=r"holds the run of another config: seed is 0 there and 1"):
        loop.train(tiny.config(data_dir, "attention=none,seed=1"), str(finished[0]))


def placed_config(data_dir, placement):
    # At the usual learning rate rounding decides whole percents after a few steps.
    return tiny.config(
        data_dir,
        dataset__placement=placement,
        optimizer__learning_rate=1e-3,
        train__num_epochs=EPOCHS,
    )


@pytest.fixture(scope="module")
def on_device(data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("placed") / "run"
    result = loop.train(placed_config(data_dir, "device"), str(workdir))
    return rows(workdir), result


@pytest.mark.parametrize("placement", ["host", "stream"])
def test_another_placement_gives_the_same_numbers(on_device, data_dir, tmp_path, placement):
    if placement == "stream":  # what began on the device goes on from files
        stop_after_step_seven(placed_config(data_dir, "device"), tmp_path / "run")
    result = loop.train(placed_config(data_dir, placement), str(tmp_path / "run"))
    for one, other in zip(on_device[0], rows(tmp_path / "run"), strict=True):
        # Two programs, which the compiler may fuse, and so round, each in its own way.
        assert one["kind"] == other.pop("kind")
        assert {name: one[name] for name in one if name != "kind"} == pytest.approx(other, rel=1e-6)
    for view, groups in on_device[1]["test"].items():
        for group, scores in groups.items():
            found = result["test"][view][group]
            for name, value in flat(scores).items():
                np.testing.assert_allclose(flat(found)[name], value, 1e-4, 1e-7, err_msg=name)


def flat(scores, prefix=""):
    """Dotted name -> number, list or text of nested objects."""
    made = {}
    for name, value in scores.items():
        inner = flat(value, f"{prefix}{name}.") if isinstance(value, dict) else None
        made |= {f"{prefix}{name}": value} if inner is None else inner
    return made


def test_test_labels_are_not_read_before_the_end(finished, data_dir, tmp_path, monkeypatch):
    """Training works with a data set whose test split cannot be read, up to the very test."""
    loaded = []
    load = dataset.Source.load

    def guarded(opened, split, **keywords):
        loaded.append(split)
        if split == "test":
            raise RuntimeError("the test split was read")
        return load(opened, split, **keywords)

    monkeypatch.setattr(dataset.Source, "load", guarded)
    with pytest.raises(RuntimeError, match=r"test split was read"):
        loop.train(tiny.config(data_dir), str(tmp_path / "run"))
    assert list(dict.fromkeys(loaded)) == ["train", "validation", "test"]
    written = [row for row in rows(tmp_path / "run") if row["kind"] == "epoch"]
    assert len(written) == EPOCHS and not (tmp_path / "run" / "result.json").exists()


def stop_after_step_seven(config, workdir):
    match = r"SIGTERM after step 7 of 15; everything is saved"
    with tiny.stopped_while_writing(6), pytest.raises(Interrupted, match=match):
        loop.train(config, str(workdir))
    assert not (workdir / "result.json").exists()


def test_a_request_to_stop_saves_and_the_same_command_resumes(
    finished, data_dir, tmp_path, monkeypatch
):
    config = tiny.config(data_dir)
    stop_after_step_seven(config, tmp_path / "run")
    # As of a start that was cut off between a better epoch and the last checkpoint.
    best = tmp_path / "run" / "checkpoints" / "best"
    shutil.copytree(best / "5", best / "8")
    restore = Checkpoints.restore

    def after_a_million_seconds(checkpoints, like, check):
        state, about = restore(checkpoints, like, check)
        later = about.progress | {"train_seconds": about.progress["train_seconds"] + 1e6}
        return state, about._replace(progress=later)

    monkeypatch.setattr(Checkpoints, "restore", after_a_million_seconds)
    result = loop.train(config, str(tmp_path / "run"))
    assert rows(tmp_path / "run") == rows(finished[0])
    assert result["test"] == finished[2]["test"]
    assert result["cost"]["train_seconds"] > 1e6  # of all starts
    assert not (best / "8").exists()


def test_a_run_with_an_average_of_its_weights_resumes_to_the_same_end(data_dir, tmp_path):
    config = tiny.config(data_dir, optimizer__ema_decay=0.9)
    whole = loop.train(config, str(tmp_path / "whole"))
    stop_after_step_seven(config, tmp_path / "run")
    resumed = loop.train(config, str(tmp_path / "run"))
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert resumed["test"] == whole["test"]


def test_another_best_epoch_than_the_selected_one_is_not_tested(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoints, "drop_later", lambda *_: None)
    save = Checkpoints.save_last

    def forget_the_best(checkpoints, step, state, spec, progress):
        progress = progress | {"selection": Selection().to_dict()}
        save(checkpoints, step, state, spec, progress)

    monkeypatch.setattr(Checkpoints, "save_last", forget_the_best)
    config = tiny.config(data_dir, train__num_epochs=1)
    with tiny.stopped_while_writing(4), pytest.raises(Interrupted):
        loop.train(config, str(tmp_path / "run"))
    with pytest.raises(UserError, match=r"best has step 5, and the best epoch ended with step 0"):
        loop.train(config, str(tmp_path / "run"))


def test_what_could_not_be_saved_is_not_called_saved(data_dir, tmp_path, monkeypatch):
    def fails(checkpoints, step, *_):
        raise SaveFailed(f"last of step {step}")

    monkeypatch.setattr(Checkpoints, "save_last", fails)
    config = tiny.config(data_dir, train__on_failed_save="continue")
    with tiny.stopped_while_writing(2), pytest.raises(SaveFailed, match="last of step 3"):
        loop.train(config, str(tmp_path / "run"))


def test_a_signal_during_the_test_stops_before_the_next_run(data_dir, tmp_path, monkeypatch):
    test = loop._Run._test

    def signalled(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return test(*arguments)

    monkeypatch.setattr(loop._Run, "_test", signalled)
    config = tiny.config(data_dir, train__num_epochs=1)
    with pytest.raises(Interrupted, match="SIGTERM while the run before was tested, which is done"):
        sweep.run(config, str(tmp_path), num_seeds=2)
    assert (tmp_path / "seed_0" / "result.json").exists()
    assert not (tmp_path / "seed_1" / "checkpoints").exists()


def test_a_run_whose_folder_was_taken_saves_nothing_more(data_dir, tmp_path, monkeypatch):
    def taken(directory):
        raise UserError("taken")

    monkeypatch.setattr(loop.RunDirectory, "check_held", taken)
    with pytest.raises(UserError, match=r"^taken$"):
        loop.train(tiny.config(data_dir), str(tmp_path / "run"))
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").glob("*/*")]
    assert saved == [] and not (tmp_path / "run" / "result.json").exists()


def test_a_loss_that_is_not_finite_names_step_and_last_good_checkpoint(
    data_dir, tmp_path, monkeypatch
):
    # No learning rate that a config may have is sure to diverge within few steps.
    rate = dataclasses.replace(FIELDS["optimizer.learning_rate"], rule=Number(least=0))
    monkeypatch.setitem(FIELDS, "optimizer.learning_rate", rate)
    config = tiny.config(data_dir, optimizer__learning_rate=1e30, optimizer__warmup_epochs=1.2)
    config.optimizer.schedule = "constant"
    with pytest.raises(UserError) as error:
        loop.train(config, str(tmp_path / "run"))
    message = str(error.value)
    assert "not finite after step" in message and "Lower optimizer.learning_rate" in message


def test_early_stopping_ends_the_run(data_dir, tmp_path):
    config = tiny.config(
        data_dir,
        "loss=softmax,attention=none",
        train__early_stopping_patience=2,
        train__num_epochs=50,
        optimizer__learning_rate=1e-12,
    )
    result = loop.train(config, str(tmp_path / "run"))
    epochs = [row for row in rows(tmp_path / "run") if row["kind"] == "epoch"]
    assert len(epochs) == result["selection"]["epoch"] + 2 < 50


def test_data_that_has_changed_is_refused_on_resume(finished, data_dir, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    (workdir / "result.json").unlink()
    made = ModelSpec.to_json
    monkeypatch.setattr(ModelSpec, "to_json", lambda spec: made(spec) | {"fingerprint": "0" * 64})
    with pytest.raises(UserError, match=r"made with fingerprint = .*Prepare the data set"):
        loop.train(finished[1], str(workdir))


def test_two_seeds_are_summarised(data_dir, tmp_path, capsys):
    config = tiny.config(data_dir, "loss=softmax,attention=none", train__num_epochs=1)
    config.optimizer.warmup_epochs = 0.0
    sweep.run(config, str(tmp_path / "both"), num_seeds=2)
    summary = json.loads((tmp_path / "both" / "result.json").read_text())
    single = [
        json.loads((tmp_path / "both" / f"seed_{seed}" / "result.json").read_text())["test"]
        for seed in (0, 1)
    ]
    accuracies = [scores["single"]["test"]["accuracy"] for scores in single]
    assert summary["test"]["single"]["test"]["accuracy"]["mean"] == pytest.approx(
        np.mean(accuracies)
    )
    assert (summary["over"], summary["values"]) == ("seed", [0, 1])
    assert "Test accuracy over seeds 0, 1" in capsys.readouterr().out
