"""Runs compared on the images that they were tested on, from what they kept."""

import csv
import json
import re
import shutil

import numpy as np
import pytest

from ferjax import filesystem
from ferjax.analysis import compare as command
from ferjax.analysis import comparison
from ferjax.config import stored
from ferjax.errors import UserError
from ferjax.evaluation import finished_runs, intervals, probabilities
from ferjax.evaluation.checkpoint_scores import FinishedRun
from ferjax.training import sweep
from ferjax.workdir import predictions
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny

VIEWS = ("single", "flip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """`softmax` and `island` with two seeds each, and `other` on other faces."""
    made = tmp_path_factory.mktemp("compared")
    fields = {"evaluation__test_views": VIEWS, "train__num_epochs": 1}
    for name, argument in (
        ("softmax", "attention=none,loss=softmax"),
        ("island", "attention=none"),
    ):
        config = tiny.config(made / "data", argument, **fields)
        sweep.run(config, str(made / name), num_seeds=2)
    config = tiny.config(made / "data", "attention=none", **fields)
    config.dataset.options.seed = 7
    sweep.run(config, str(made / "other"))
    return made


def read(*folders):
    return [finished_runs.read(str(path), stored.of_run) for path in folders]


def run(monkeypatch, *arguments):
    """Runs the command with the text of its flags; returns its exit code."""
    flags = command.FLAGS
    flags.unparse_flags()
    left = flags(["compare", *map(str, arguments)])
    try:
        return command.main(left)
    finally:
        flags.unparse_flags()
        for name in ("view", "group", "csv", "json"):
            flags[name].unparse()


def test_kept_predictions_are_those_of_the_model(folder):
    """They give the scores of result.json, and another batch size gives the same ones."""
    (runs,) = read(folder / "island" / "seed_0")
    result, tested = runs.first.result, runs.first.tested
    for view in VIEWS:
        for group, mask in tested.groups.items():
            scores = result["test"][view][group]
            hits = tested.probabilities[view].argmax(axis=1) == tested.label
            assert hits[mask].mean() == pytest.approx(scores["accuracy"])
            for name in ("balanced_accuracy", "top2_accuracy", "calibration_error", "loss"):
                ours = runs.metrics(view, group)[0][name]
                assert ours == pytest.approx(scores[name], rel=1e-5), name
    directory = RunDirectory(folder / "island" / "seed_0")
    run = FinishedRun.open(directory, stored.of_run(directory), "best")
    again = run.on_own_data("test", VIEWS, batch_size=7).scores
    for view in VIEWS:
        for name, value in result["test"][view]["test"].items():
            assert flat(again[view]["test"][name]) == pytest.approx(flat(value), rel=1e-4), name
    chosen = result["predictions"]["validation"]
    rows = predictions.read(filesystem.of(directory.path), "validation", chosen["sha256"])
    found = rows.probabilities["single"].argmax(axis=1) == rows.label
    assert found.mean() == pytest.approx(result["selection"]["accuracy"])


def flat(value):
    """The numbers of a metric in one list."""
    inner = value.values() if isinstance(value, dict) else value
    return list(np.concatenate([np.ravel(one) for one in inner])) if np.iterable(inner) else [value]


def test_the_temperature_is_fitted_on_the_split_that_selected(folder):
    (runs,) = read(folder / "island" / "seed_0")
    result, place = runs.first.result, filesystem.of(folder / "island" / "seed_0")
    kept = predictions.read(place, "validation", result["predictions"]["validation"]["sha256"])
    for view, fitted in result["temperature"].items():
        again = probabilities.fit_temperature(kept.probabilities[view], kept.label)
        assert fitted == again
        rows = probabilities.scaled(runs.first.tested.probabilities[view], fitted)
        loss = probabilities.losses(rows, runs.first.tested.label).mean()
        assert result["test"][view]["test"]["calibrated"]["loss"] == pytest.approx(loss)


def test_every_run_is_compared_with_the_first(folder, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    found = comparison.compare(read(folder / "softmax", folder / "island"))
    assert (found.view, found.group, found.images) == ("flip", "test", 35)
    first, second = found.rows
    assert first.compared is None and second.runs.seeds == (0, 1)
    results = [
        json.loads((folder / name / f"seed_{seed}" / "result.json").read_text())
        for name in ("softmax", "island")
        for seed in (0, 1)
    ]
    accuracy = [one["test"]["flip"]["test"]["accuracy"] for one in results]
    gain = (accuracy[2] + accuracy[3] - accuracy[0] - accuracy[1]) / 2
    assert second.compared.accuracy == pytest.approx(gain)
    assert second.metrics["accuracy"] == pytest.approx((accuracy[2] + accuracy[3]) / 2)
    assert second.metrics["loss"] == pytest.approx(
        np.mean([one["test"]["flip"]["test"]["loss"] for one in results[2:]])
    )
    recall = np.array([one["test"]["flip"]["test"]["per_class_recall"] for one in results])
    np.testing.assert_allclose(second.compared.recall, recall[2:].mean(0) - recall[:2].mean(0))
    assert second.compared.mcnemar == ()  # synthetic faces show each person several times
    assert len(np.unique(second.runs.persons("test"))) < 35


def test_the_command_prints_and_writes(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(intervals, "RESAMPLES", 200)
    monkeypatch.chdir(folder)
    table, document = tmp_path / "x.csv", tmp_path / "x.json"
    run(monkeypatch, "softmax", "island", "--view=single", f"--csv={table}", f"--json={document}")
    text = capsys.readouterr().out
    assert re.search(r"Against softmax, in percentage points \(single, 35 images of test\)", text)
    assert re.search(r"island +(open|higher|lower)", text) and "happy" in text
    lines = list(csv.DictReader(table.read_text().splitlines()))
    fields = json.loads(document.read_text())
    compared = fields["rows"][1]["compared"]
    (line,) = (one for one in lines if (one["run"], one["metric"]) == ("island", "accuracy"))
    assert float(line["difference"]) == compared["accuracy"]
    assert [float(line["low"]), float(line["high"])] == compared["over_images"]
    gains = {
        one["class"]: one for one in lines if (one["run"], one["metric"]) == ("island", "recall")
    }
    assert list(gains) == fields["labels"]
    assert [float(one["difference"]) for one in gains.values()] == compared["recall"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["softmax"], "name two or more folders"),
        (["softmax", "softmax"], "softmax is named twice"),
        (["softmax", "nothing"], "nothing is not a run directory"),
        (["softmax", "./softmax/"], "softmax is named twice"),
        (["softmax", "island/seed_0"], r"seed_0 has the seeds 0 and softmax has 0\+1"),
        (["softmax", "island", "--csv=softmax/seed_0/result.json"], "--csv"),
        (["other", "island/seed_0"], "was tested on other images than other"),
        (["softmax", "island", "--view=ten_crop"], "The view of softmax is 'ten_crop'; expected"),
        (["softmax", "island", "--group=clean"], "The group of images of softmax is 'clean'"),
        (["softmax", "island", "--csv=island/seed_0"], "--csv"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=said):
        run(monkeypatch, *arguments)


def test_damaged_and_older_runs_are_refused(folder, tmp_path):
    source = folder / "island" / "seed_0"
    files = ("config.json", "result.json", "predictions")

    def copied(name):
        made = tmp_path / name
        made.mkdir()
        for entry in files:
            path = source / entry
            (shutil.copytree if path.is_dir() else shutil.copy)(path, made / entry)
        return made

    other = copied("other")
    shutil.copy(
        folder / "island" / "seed_1" / "predictions" / "test.safetensors", other / "predictions"
    )
    with pytest.raises(UserError, match=r"is not the file whose SHA-256 result\.json has"):
        read(other)
    older = copied("older")
    fields = json.loads((older / "result.json").read_text())
    fields["format"] = 1
    del fields["predictions"], fields["temperature"]
    (older / "result.json").write_text(json.dumps(fields))
    with pytest.raises(UserError, match="an older version, which kept no predictions"):
        read(older)
    beside = tmp_path / "beside"
    for number, name in enumerate(("softmax", "island")):
        shutil.copytree(folder / name / f"seed_{number}", beside / f"seed_{number}")
    with pytest.raises(UserError, match=r"seed_1 holds the run of another config .*loss\.name is"):
        read(beside)
    unfinished = copied("unfinished")
    (unfinished / "result.json").unlink()
    with pytest.raises(UserError, match="holds no finished run"):
        read(unfinished)


def test_folds_count_all_their_images_together(folder, tmp_path):
    """Two runs stand in for the folds of one seed, where each image is tested once."""
    (runs,) = read(folder / "softmax")
    for number in range(2):
        source, target = folder / f"softmax/seed_{number}", tmp_path / f"seed_0/fold_{number}"
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("checkpoints"))
    (folds,) = read(tmp_path)
    assert len(folds.true("test")) == 70
    (pooled,) = folds.metrics("flip", "test")
    for name in ("accuracy", "loss", "top2_accuracy"):
        both = [one[name] for one in runs.metrics("flip", "test")]
        assert pooled[name] == pytest.approx(np.mean(both)), name
    assert pooled["num_examples"] == 70
