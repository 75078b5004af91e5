"""CK+ as it is run: all folds by one command, none of them with a person in train and test."""

import json

import pytest

from ferjax.data import catalog, label_maps
from ferjax.data.dataset import open_dataset
from ferjax.data.prepare import preparation
from ferjax.data.splits.splitters import ALL_FOLDS
from ferjax.errors import UserError
from ferjax.evaluation import cross_dataset
from ferjax.training import experiment, loop, sweep, warm_start
from tests.helpers import fake_ck_plus, scored, tiny
from tests.helpers.fake_fer2013 import write_folder


@pytest.fixture(scope="module")
def ck_plus(tmp_path_factory):
    """A small CK+ of 12 persons, prepared in the form of CK+48."""
    folder = tmp_path_factory.mktemp("ck")
    sequences = fake_ck_plus.some()
    spec = fake_ck_plus.spec(sequences)
    source = write_folder(folder / "CK+48", fake_ck_plus.ck_48(sequences))
    preparation.prepare(spec, source, folder / "data")
    return folder / "data"


def config(data_dir, argument):
    made = tiny.module().get_config(f"dataset=ck_plus,attention=none,loss=softmax,{argument}")
    made.dataset.data_dir = str(data_dir)
    made.model.update(name="resnet10", width=8, image_size=16, stem="half", dtype="float32")
    made.train.update(batch_size=16, num_epochs=1)
    made.evaluation.batch_size = 16
    return made


@pytest.fixture(scope="module")
def fold_zero(ck_plus, tmp_path_factory):
    """The folder of a run of fold 0."""
    folder = tmp_path_factory.mktemp("fold") / "zero"
    loop.train(config(ck_plus, "fold=0"), str(folder))
    return folder


def test_one_command_runs_every_fold_and_sums_them_up(ck_plus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "NUM_FOLDS", 2)
    sweep.run(config(ck_plus, "protocol=honest"), str(tmp_path))
    summary = json.loads((tmp_path / "result.json").read_text())
    each = [json.loads((tmp_path / f"fold_{n}" / "result.json").read_text()) for n in (0, 1)]
    assert summary["over"] == "fold" and summary["values"] == [0, 1]
    assert [one["options"]["fold"] for one in each] == [0, 1]
    accuracies = [one["test"]["single"]["test"]["accuracy"] for one in each]
    found = summary["test"]["single"]["test"]["accuracy"]
    assert found["mean"] == pytest.approx(sum(accuracies) / 2)
    tested = [one["test"]["single"]["test"]["num_examples"] for one in each]
    assert summary["pooled"]["single"]["test"]["num_examples"] == sum(tested)
    assert "over folds 0, 1" in capsys.readouterr().out


def test_folds_of_single_images_are_optimistic_wherever_they_appear(ck_plus, tmp_path, capsys):
    leaky = config(ck_plus, "protocol=paper,fold=1")
    result = loop.train(leaky, str(tmp_path))
    assert result["protocol"] == "optimistic" and result["options"]["split_by"] == "image"
    run = experiment.build(leaky)
    train_people = set(run.data.examples("train").subjects)
    assert train_people & set(run.data.examples("test").subjects), "this is what leaks"
    assert "same persons" in capsys.readouterr().err + capsys.readouterr().out


def test_one_run_cannot_be_of_all_folds(ck_plus, tmp_path):
    one = config(ck_plus, "protocol=honest")
    assert one.dataset.options.fold == ALL_FOLDS
    with pytest.raises(UserError, match=r"fold is -1; expected 0 to 9. -1, one run of each"):
        loop.train(one, str(tmp_path))


def test_classes_are_those_of_ck_plus(ck_plus):
    run = experiment.build(config(ck_plus, "fold=0"))
    assert run.spec.labels == catalog.CK_PLUS.labels.names


def test_a_run_does_not_start_from_another_fold(ck_plus, fold_zero, tmp_path):
    """What fold 1 tests has trained the run of fold 0."""
    other = config(ck_plus, f"fold=1,init_from={fold_zero}")
    with pytest.raises(UserError, match=r"same data, split in another way \(fold=0.*fold=1"):
        loop.train(other, str(tmp_path / "other"))
    again = experiment.build(config(ck_plus, f"fold=0,init_from={fold_zero}"))
    _, (origin,) = warm_start.initial_state(again, (), report=lambda _: None)
    assert origin["options"]["fold"] == 0


def test_the_own_data_set_of_a_run_is_not_another_one(ck_plus, fold_zero):
    """Its other folds hold images that trained the run, whatever map is given."""
    source = open_dataset("ck_plus", ck_plus, fold=3)
    names = source.labels.names
    with pytest.raises(UserError, match=r"ck_plus is the data set that the run was trained on"):
        cross_dataset.score(
            scored.model(fold_zero),
            source,
            "test",
            label_maps.by_emotion(names, names),
            ["single"],
        )


def test_one_run_and_several_do_not_share_a_folder(ck_plus, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "NUM_FOLDS", 1)
    sweep.run(config(ck_plus, "protocol=honest"), str(tmp_path / "several"))
    with pytest.raises(UserError, match=r"is a folder of several runs"):
        sweep.run(config(ck_plus, "fold=0"), str(tmp_path / "several"))
    with pytest.raises(UserError, match=r"is the folder of one run, and this command makes sev"):
        sweep.run(config(ck_plus, "protocol=honest"), str(tmp_path / "several" / "fold_0"))


def test_where_the_test_split_selects_nine_folds_train(ck_plus):
    leaky = experiment.build(config(ck_plus, "protocol=paper,fold=1"))
    honest = experiment.build(config(ck_plus, "fold=1"))
    sizes = [leaky.data.source.num_examples[split] for split in ("train", "validation", "test")]
    assert sizes[1] == 0 and sum(sizes) == sum(honest.data.source.num_examples.values())
