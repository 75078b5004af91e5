"""A study: read, refused, trained row by row, resumed, and shown as a table."""

import dataclasses
import json

import pytest

from ferjax.errors import UserError
from ferjax.reproduce import __main__ as command
from ferjax.reproduce import study, table
from ferjax.training import experiment
from tests.helpers import tiny

STUDY = f"""
title = "Losses on small faces"
config = "{tiny.CONFIG}"
arguments = "dataset=synthetic,attention=none,stem=half"
reference = "center"

[fields]
"model.name" = "resnet10"
"model.width" = 8
"model.image_size" = 16
"dataset.options.image_size" = 16
"dataset.options.num_train" = 28
"dataset.options.num_validation" = 14
"dataset.options.num_test" = 14
"train.num_epochs" = 1
"optimizer.warmup_epochs" = 0.0
"train.batch_size" = 14
"evaluation.batch_size" = 14
"evaluation.test_views" = ["single", "flip"]

[[rows]]
name = "softmax"
arguments = "loss=softmax"

[[rows]]
name = "center"
arguments = "loss=center"
seeds = [0, 1]

[[rows]]
name = "island"
fields = {{ "loss.pairwise_weight" = 3 }}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


def test_runs_go_seed_by_seed_and_have_the_fields_of_their_row(file):
    runs = study.runs(study.read(str(file)), "w", assignments=["optimizer.learning_rate=0.5"])
    names = [str(run.folder) for run in runs]
    assert names == [
        "w/softmax/seed_0",
        "w/center/seed_0",
        "w/island/seed_0",
        "w/center/seed_1",
    ]
    center, island = runs[-1].config, runs[2].config
    assert (center.seed, island.loss.pairwise_weight, island.model.width) == (1, 3.0, 8)
    assert island.optimizer.learning_rate == 0.5
    assert runs[0].config.loss.name == "softmax"


@pytest.mark.parametrize("name", ["island", "recipes"])
def test_the_studies_of_the_repository_have_configs(repository, monkeypatch, name):
    monkeypatch.chdir(repository)
    runs = study.runs(study.read(f"configs/studies/{name}.toml"), "w")
    assert len({str(run.folder) for run in runs}) == len(runs) > 5
    for run in runs:
        experiment.build(run.config)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("title", "titel"), r"unknown key 'titel'.*Did you mean 'title'"),
        (('title = "Losses on small faces"', ""), r"title of the study is None; expected a str"),
        (('name = "island"', 'name = "../x"'), r"name of row 3 is '../x'; it names a folder"),
        (('name = "island"', 'name = "center"'), r"two rows are called 'center'"),
        (('"center"\n\n[fields]', '"centre"\n\n[fields]'), r"reference is 'centre'.*Did you mean"),
        (("seeds = [0, 1]", "seeds = [0, 0]"), r"seeds of row 2 is \[0, 0\]; expected different"),
        (("seeds = [0, 1]", "seeds = 2"), r"seeds of row 2 is 2"),
        (("[[rows]]", "[[rows"), r"is not TOML"),
        (("[[rows]]", f"x = {'[' * 100_000}"), r"is not TOML"),
        (('name = "island"', 'name = "table.json"'), r"'table.json'; it names a folder"),
        (('"loss=center"', '"loss=center,seed=7"'), r"row 2 name a seed; name it in seeds"),
    ],
)
def test_a_study_that_is_wrong_is_refused(file, change, said):
    file.write_text(STUDY.replace(*change))
    with pytest.raises(UserError, match=said):
        study.read(str(file))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"rows": ["centre"]}, r"no row 'centre'.*Did you mean 'center'"),
        ({"assignments": ["train.num_epoch=4"]}, r"no config field 'train.num_epoch'.*num_epochs"),
        ({"assignments": ["train.num_epochs=four"]}, r"train.num_epochs is 'four'; expected a int"),
        ({"assignments": ["train.num_epochs"]}, r"expected FIELD=VALUE"),
        ({"assignments": ["train=4"]}, r"train is a group of fields"),
        ({"assignments": ["train.num_epochs=0"]}, r"^Row 'softmax': train.num_epochs is 0; exp"),
        ({"assignments": ["seed=7"]}, r"seed is not set as a field; name them all in seeds"),
        ({"assignments": [f"train.num_epochs={'[' * 9000}"]}, r"train.num_epochs is '\[\["),
        ({"assignments": [f"train.num_epochs={'9' * 9000}"]}, r"train.num_epochs is '999"),
        ({"assignments": ["train.num_epochs=3\nx=4"]}, r"train.num_epochs is '3"),
        ({"assignments": ["seed=1", "seed=2"]}, r"^--set gives 'seed' twice"),
    ],
)
def test_runs_that_cannot_be_are_refused(file, how, said):
    with pytest.raises(UserError, match=said):
        study.runs(study.read(str(file)), "w", **how)


@pytest.mark.parametrize("made", ["None", "{}", "ConfigDict()"])
def test_a_study_of_what_is_no_config_is_refused(file, tmp_path, made):
    path = tmp_path / "odd.py"
    path.write_text(f"from ml_collections import ConfigDict\ndef get_config(_): return {made}\n")
    found = dataclasses.replace(study.read(str(file)), config=str(path))
    with pytest.raises(UserError, match=r"expected ConfigDict|no config field"):
        study.runs(found, "w")


def test_a_study_of_all_folds_is_refused(file):
    text = STUDY.replace("dataset=synthetic", "dataset=ck_plus")
    file.write_text("\n".join(line for line in text.splitlines() if "options" not in line))
    with pytest.raises(UserError, match="would run all folds of ck_plus; name one"):
        study.runs(study.read(str(file)), "w")


def test_rows_are_trained_once_and_shown_as_they_come(file, data_dir, tmp_path, run_main):
    flags = [
        f"--study={file}",
        f"--workdir={tmp_path / 'runs'}",
        f"--set=dataset.data_dir={data_dir}",
    ]
    code, out, _ = run_main(command, *flags, "--dry_run")
    assert code == 0 and out.count("seed_") == 4 and not (tmp_path / "runs").exists()
    code, out, _ = run_main(command, *flags, "--rows=softmax")
    assert code == 0 and "runs/softmax" in out and "runs/island" not in out
    before = (tmp_path / "runs/softmax/seed_0/result.json").stat().st_mtime_ns
    code, out, _ = run_main(command, *flags)
    assert code == 0 and "0+1" in out
    assert (tmp_path / "runs/softmax/seed_0/result.json").stat().st_mtime_ns == before
    written = json.loads((tmp_path / "runs/table.json").read_text())
    rows = {row["name"]: row for row in written["rows"]}
    assert list(rows) == ["softmax", "center", "island"]
    center = tmp_path / "runs/center"
    results = [json.loads((center / f"seed_{n}/result.json").read_text()) for n in (0, 1)]
    expected = sum(one["test"]["flip"]["test"]["accuracy"] for one in results) / 2
    assert rows["center"]["numbers"]["flip"]["mean"] == pytest.approx(expected)
    assert rows["island"]["acts"] in (True, False)
    assert rows["center"]["acts"] is None and rows["softmax"]["acts"] is None
    assert "center_offset" in rows["center"]["geometry"]
    assert "center_offset" not in rows["softmax"]["geometry"]


@pytest.mark.parametrize(
    ("offset", "means", "expected"),
    [(0.3, 80.0, True), (0.31, 80.0, False), (0.1, 82.0, False)],
)
def test_a_loss_acts_if_centres_stay_and_means_part(offset, means, expected):
    def outcome(offset, means):
        selected = {"validation_center_offset": offset, "validation_mean_pairwise_cosine": means}
        return {"selected": selected}

    reference = {0: outcome(0.2, 81.0)}
    assert table.acts({0: outcome(offset, means)}, reference) is expected
    assert table.acts({1: outcome(offset, means)}, reference) is None
