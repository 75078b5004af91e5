"""JSON that comes back from files: each damage is one sentence that names file, key and fix."""

import dataclasses
import json
import shutil
from typing import Annotated, Literal, NotRequired, TypedDict

import jax
import numpy as np
import pytest

import ferjax
from ferjax import evaluate, filesystem, stored_json
from ferjax.config import stored as stored_config
from ferjax.data.dataset import open_dataset
from ferjax.data.storage import records
from ferjax.data.synthetic.builder import prepare_synthetic
from ferjax.errors import UserError
from ferjax.evaluation import checkpoint_scores
from ferjax.inference.classifier import Classifier
from ferjax.inference.trained_model import TrainedModel
from ferjax.reproduce import study, table
from ferjax.training import preflight
from ferjax.training.run_progress import RunProgress
from ferjax.workdir import metrics_log
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory
from tests.helpers import stored, tiny
from tests.helpers.edited import GONE, changed, edit, edit_checkpoints

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
BROKEN = {
    "nothing": (b"", "is damaged"),
    "cut": (b'{"a": 1', "is damaged"),
    "garbage": (b"\x00\xff\xfe", "is damaged"),
    "NaN": (b'{"a": NaN}', "NaN is no number of JSON"),
    "Infinity": (b'{"a": -Infinity}', "Infinity is no number"),
    "beyond": (b'{"a": 1e999}', "beyond the range of float64"),
    "deep": (DEEP, "nested deeper than 64 levels"),
    "rather_deep": (b"[" * 70 + b"]" * 70, "nested deeper than 64 levels"),
    "twice": (b'{"a": 1, "a": 2}', 'the key "a" is there twice'),
    "digits": (b'{"a": ' + b"9" * 5000 + b"}", "is damaged"),
    "list": (b"[1]", r"holds \[1\], expected an object"),
    "number": (b"5", "holds 5, expected an object"),
    "null": (b"null", "holds null, expected an object"),
}


class Inner(TypedDict):
    """For the tests."""

    share: stored_json.Share
    kind: Literal["a", "b"]


class Outer(TypedDict):
    """For the tests."""

    inner: Inner
    count: NotRequired[Annotated[int, stored_json.whole(1)]]
    several: NotRequired[list[Inner]]
    by_name: NotRequired[dict[str, int]]
    maybe: NotRequired[float | None]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "has no field 'inner', expected an object"),
        ({"inner": 5}, "has inner = 5, expected an object"),
        ({"inner": {"kind": "a"}}, r"has no field 'inner\.share', expected a number from 0 to 1"),
        ({"inner": {"share": 1.5, "kind": "a"}}, r"inner\.share = 1\.5, expected a number from 0"),
        ({"inner": {"share": "1", "kind": "a"}}, r'inner\.share = "1", expected a number from 0'),
        ({"inner": {"share": True, "kind": "a"}}, r"inner\.share = true"),
        ({"inner": {"share": 1, "kind": "c"}}, r'inner\.kind = "c", expected "a" or "b"'),
        ({"count": 0}, "count = 0, expected a whole number of at least 1"),
        ({"count": 1.0}, r"count = 1\.0, expected a whole number of at least 1"),
        ({"count": True}, "count = true, expected a whole number"),
        ({"several": {}}, "several = {}, expected a list"),
        ({"several": [{"share": 0, "kind": "a"}, 5]}, r"several\[1\] = 5, expected an object"),
        ({"by_name": {"x": 1, "y": "2"}}, r'by_name\.y = "2", expected a whole number'),
        ({"maybe": "x"}, r'maybe = "x", expected a number or null'),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_key(fields, said):
    whole = {"inner": {"share": 0.5, "kind": "b"}} if fields and "inner" not in fields else {}
    with pytest.raises(stored_json.Unfit, match=said):
        stored_json.check(whole | fields, Outer)


def test_what_fits_is_returned_and_other_keys_are_let_pass():
    fields = {"inner": {"share": 1, "kind": "a", "new": 3}, "maybe": None, "by_name": {}}
    assert stored_json.check(fields, Outer) == fields


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    (tmp_path / "a.json").write_bytes(b" " * 101)
    with pytest.raises(UserError, match=r"a\.json is damaged \(it has more than the 100 bytes .*f"):
        filesystem.read_json(tmp_path / "a.json", stored_json.Object, fix="fix it", most_bytes=100)


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("file", ["config.json", "result.json"])
def test_a_file_that_is_no_json_object(tmp_path, file, name):
    content, said = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    directory = RunDirectory(tmp_path)
    with pytest.raises(UserError, match=rf"{file} .*{said}.*: restore it from a copy"):
        directory.result() if file == "result.json" else directory.config()
    with pytest.raises(UserError), directory.claim(tiny.config("data")):
        pass


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("dataset", None, "dataset is None; expected a group"),
        ("dataset", GONE, ""),  # as an older version may have written it
        ("dataset/limit_mib", "x", "dataset.limit_mib is 'x'; expected a whole number"),
        ("evaluation/batch_size", 16.5, "evaluation.batch_size is 16.5; expected a whole number"),
        ("evaluation/test_views", 3, "evaluation.test_views is 3; expected"),
        ("evaluation/test_views", [["single"]], "test_views with a list or an object in a list"),
        ("protocol/evil", 1, "no config field 'protocol.evil'"),
        ("optimizer/plateau/evil", 1, "no config field 'optimizer.plateau.evil'"),
        ("optimizer/plateau", "x", "optimizer.plateau is 'x'; expected a group"),
        ("departures", [{"a": 1}], "departures with a list or an object in a list"),
        ("seed", "7", "seed is '7'; expected a whole number"),
        ("seed", None, "seed is None; expected a whole number"),
        ("seed", 1.0, "seed is 1.0; expected a whole number"),
        ("a.b", 1, "a.b as a field"),
        ("__class__", 1, "__class__ as a field"),
        ("items", 1, "items as a field"),
        ("model/name", "evil", "model.name is 'evil'; expected one of"),
        ("model/width", "8", "model.width is '8'; expected a whole number"),
        ("stages", {"x": 5}, "stages has x, and resnet10 has no trunks"),
    ],
)
def test_a_config_that_no_run_has(tmp_path, path, value, said):
    fields = changed(json.loads(tiny.config("data").to_json()), path, value)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    if not said:
        assert stored_config.of_run(RunDirectory(tmp_path)).dataset.name == "fer2013"
        return
    with pytest.raises(UserError, match=r"config\.json") as caught:
        stored_config.of_run(RunDirectory(tmp_path))
    assert said in str(caught.value) and "estore it from a copy" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 3, "has format = 3, expected 1 or 2"),
        ("test", GONE, "has no field 'test', expected an object"),
        ("test", {}, "has test without scores"),
        ("test", [], "has test = [], expected an object"),
        ("test/single/test/confusion", [["x"]], 'confusion[0][0] = "x", expected a whole number'),
        ("test/single/test/confusion", [[1]], "has 1 values in test.single.test.confusion"),
        ("test/single/test/accuracy", 1.5, "accuracy = 1.5, expected a number from 0 to 1"),
        ("test/single/test/accuracy", None, "accuracy = null, expected a number from 0 to 1"),
        ("test/single/test/num_examples", 999, "in test.single.test.confusion, expected its num"),
        ("test/single/test/accuracy", 0.123, "has 0.123 in test.single.test.accuracy, expected"),
        ("labels", ["a", "a"], "expected class names, none of them empty or there twice"),
        ("labels", "abc", "expected class names"),
        ("selection", 5, "has selection = 5, expected an object"),
        ("selection/epoch", "1", 'has selection.epoch = "1", expected a whole number'),
        ("started_from", [{}], "has no field 'started_from[0].weights', expected a text"),
        ("started_from", 3, "has started_from = 3, expected a list"),
        ("warnings", [5], "has warnings[0] = 5, expected an object"),
        ("cost", GONE, "has no field 'cost'"),
        ("seed", True, "has seed = true, expected a whole number"),
        ("protocol", "x", 'has protocol = "x", expected "honest" or "optimistic"'),
        ("over", "seed", "is a folder of several runs"),
    ],
)
def test_a_result_that_no_run_has(finished, tmp_path, path, value, said):
    fields = json.loads((finished[0] / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps(changed(fields, path, value)))
    with pytest.raises(UserError) as caught:
        RunDirectory(tmp_path).result()
    assert said in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_result_of_an_older_version_is_read(finished, tmp_path):
    fields = json.loads((finished[0] / "result.json").read_text())
    for name in ("departures", "training", "warnings"):
        del fields[name]
    for groups in fields["test"].values():
        for scores in groups.values():
            del scores["macro_f1_present"]
    (tmp_path / "result.json").write_text(json.dumps(fields))
    assert RunDirectory(tmp_path).result() == fields


def damaged(finished, tmp_path, path, value):
    """A copy of the finished run whose best checkpoint says something else of itself."""
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    edit_checkpoints(workdir, (path, value))
    return workdir


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", "x", 'has format = "x", expected 4'),
        ("format", 99, "has format 99, and this version"),
        ("spec", 5, "has spec = 5, expected an object"),
        ("sha256", GONE, "has no field 'sha256'"),
        ("sha256", {}, "weights do not have the SHA-256"),
        ("spec/model", GONE, "has no field 'model', expected an object"),
        ("spec/model", [1], "has model = [1], expected an object"),
        ("spec/model/name", "evil", "model is 'evil'; expected one of"),
        ("spec/model/evil", 1, "has model.evil, expected the options of resnet10"),
        ("spec/model/width", "8", 'has model.width = "8", expected a value like 64'),
        ("spec/model/width", 10**9, "has model.width = 1000000000"),
        ("spec/model/width", 0, "cannot be used: width is 0; it must be at least 1. Restore it"),
        ("spec/model/width", 16, "the model that its description names: params/bn1/bias has the"),
        ("spec/model/attention", "se", "description names: it has no params/layer1/0/se"),
        ("spec/options", 5, "has options = 5, expected an object"),
        ("spec/seed", "7", 'has seed = "7", expected a whole number'),
        ("spec/model/num_classes", 3, "has model.num_classes = 3, expected 7"),
        ("spec/model/image_size", 10**7, "has model.image_size = 10000000, expected a whole"),
        ("spec/labels", GONE, "has no field 'labels', expected class names"),
        ("spec/labels", 5, "has labels = 5, expected class names"),
        ("spec/labels", ["x"] * 7, "expected class names, none of them empty or there twice"),
        ("spec/labels/0", " ", "expected class names, none of them empty or there twice"),
        ("spec/labels", ["a", "b"], "has model.num_classes = 7, expected 2"),
        ("spec/fingerprint", "x", "expected 64 hex digits"),
        ("spec/steps_per_epoch", 0, "has steps_per_epoch = 0"),
        ("spec/preprocessing/std", [0.0], "preprocessing.std[0] = 0.0, expected a number"),
        ("spec/preprocessing/std", [], "0 standard deviations"),
        ("spec/preprocessing/mean", ["x"], 'preprocessing.mean[0] = "x", expected a number'),
        ("spec/preprocessing/native_shape", "abc", "expected height, width and 1 or 3 channels"),
        ("spec/preprocessing/native_shape", [16, 16, 5], "expected height, width and 1 or 3"),
        ("spec/preprocessing/native_shape", [0, 16, 1], "native_shape[0] = 0, expected a whole"),
        ("spec/preprocessing/native_shape", [20_000, 20_000, 1], "of at most 16,777,216 pixels"),
        ("spec/preprocessing/order", "gbr", 'preprocessing.order = "gbr", expected "rgb"'),
        ("spec/preprocessing/crop", [1], "preprocessing.crop = [1], expected height and width"),
        ("spec/preprocessing/crop", [99, 99], "a crop of (99, 99) pixels"),
        ("spec/preprocessing/new", 1, "preprocessing has the fields"),
    ],
)
def test_a_checkpoint_that_says_what_cannot_be(finished, tmp_path, path, value, said):
    workdir = damaged(finished, tmp_path, path, value)
    with pytest.raises(UserError) as caught:
        TrainedModel.load(workdir, config=None)
    assert said in str(caught.value) and str(workdir) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("selection/epoch", "x", 'selection.epoch = "x"'),
        ("selection", GONE, "no field 'selection'"),
        ("plateau/best", "x", 'plateau.best = "x", expected a number or null'),
        ("train_seconds", -1, "train_seconds = -1"),
        ("input_position", 3, "input_position = 3, expected an object"),
    ],
)
def test_where_a_run_stands_is_checked(path, value, said):
    fields = {**RunProgress().to_json(), "input_position": {}}
    RunProgress.check(fields)
    with pytest.raises(stored_json.Unfit) as caught:
        RunProgress.check(changed(fields, path, value))
    assert said in str(caught.value)


def test_a_resume_falls_back_where_a_checkpoint_says_what_cannot_be(tmp_path):
    said = []
    saved = Checkpoints(tmp_path, report=said.append)
    for step in (1, 2):
        saved.save_last(step, stored.holding(np.full(3, step, np.float32)), {}, {"at": step})
    saved.wait()

    def check(about):
        if about.progress["at"] == 2:
            raise stored_json.Unfit("has at = 2, expected 1")

    _, about = saved.restore(stored.holding(np.zeros(3, np.float32)), check)
    saved.close()
    assert about.step == 1
    assert "step 2 cannot be read (has at = 2, expected 1)" in said[0]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"kind": ["a"], "step": 2}', 'kind = ["a"], expected "train" or "epoch"'),
        ('{"kind": "train", "step": true}', "step = true, expected a whole number"),
        ('{"kind": "train", "step": 2, "loss": NaN}', "NaN is no number of JSON"),
        ('{"kind": "train", "step": 2, "loss": "x"}', 'loss = "x", expected a number or null'),
        ('{"kind": "epoch", "step": 2}', "has no field 'epoch'"),
        ('{"kind": "epoch", "step": 2, "epoch": "1"}', 'epoch = "1", expected a whole number'),
        ('{"kind": "train", "step": 1}', "step = 1, expected more than 1"),
        ("[" * 100_000, "nested deeper"),
        ("x" * (2 << 20), "is damaged"),
    ],
)
def test_a_row_of_metrics_that_no_run_writes(tmp_path, line, said):
    (tmp_path / "metrics.jsonl").write_text(f'{{"kind": "train", "step": 1}}\n{line}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: found") as caught:
        list(metrics_log.read_rows(tmp_path / "metrics.jsonl"))
    assert said in str(caught.value)


def test_a_folder_in_the_place_of_metrics_is_called_that(tmp_path):
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be read"):
        metrics_log.JsonlLog(tmp_path / "metrics.jsonl", resume_step=3)


@pytest.mark.parametrize("content", [b"[1]", b"{", b'{"token": 5}', DEEP])
def test_a_damaged_mark_is_none(tmp_path, content):
    (tmp_path / ".processes").write_bytes(content)
    assert RunDirectory(tmp_path).found_mark() is None


@pytest.mark.parametrize(
    ("file", "path", "value", "said"),
    [
        ("config.json", "dataset/options/seed", 1, "options is"),
        ("config.json", "seed", 1, "seed is 1 in config.json and 0 in result.json"),
        ("config.json", "model/width", 16, "model.width is 16 in config.json and 8 in the check"),
        ("config.json", "model/image_size", 32, "model.image_size is 32 in config.json and 16"),
        ("config.json", "preprocess/normalization", "unit", "preprocessing.mean is [0.0]"),
        ("config.json", "augment/crop", 0.5, "preprocessing.crop is [8, 8] in config.json and nul"),
        ("result.json", "fingerprint", "0" * 64, 'fingerprint is "00000'),
        ("result.json", "labels", list("abcdefg"), 'labels is ["a", "b"'),
        ("result.json", "dataset", "raf_db", 'is "synthetic" in config.json and "raf_db" in resu'),
        ("result.json", "selection/step", 1, "step is 1 in result.json and"),
        ("checkpoint", "spec/labels", list("gfedcba"), '"neutral"] in result.json and ["g", "f"'),
        ("checkpoint", "spec/fingerprint", "0" * 64, "fingerprint is"),
        ("checkpoint", "spec/preprocessing/order", "bgr", "preprocessing.order is"),
        ("checkpoint", "spec/seed", 7, "seed is 0 in result.json and 7 in the checkpoint"),
        ("checkpoint", "spec/options/seed", 7, "options is {"),
    ],
)
def test_files_of_two_runs_are_refused(finished, tmp_path, file, path, value, said):
    if file == "checkpoint":
        workdir = damaged(finished, tmp_path, path, value)
    else:
        workdir = tmp_path / "run"
        shutil.copytree(finished[0], workdir)
        fields = json.loads((workdir / file).read_text())
        (workdir / file).write_text(json.dumps(changed(fields, path, value)))
    directory = RunDirectory(workdir)
    for read in (
        lambda: checkpoint_scores.FinishedRun.open(
            directory, stored_config.of_run(directory), "best"
        ),
        lambda: ferjax.load(workdir),
    ):
        with pytest.raises(UserError, match="holds files of two runs") as caught:
            read()
        assert said in str(caught.value) and "Restore the folder from a copy" in str(caught.value)


def test_a_damaged_config_beside_a_checkpoint_is_not_passed_over(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    edit(workdir / "config.json", ("dataset/limit_mib", "x"))
    with pytest.raises(UserError, match=r"config\.json: dataset\.limit_mib is 'x'"):
        ferjax.load(workdir)
    (workdir / "config.json").unlink()
    (workdir / "result.json").write_text("[1]")
    with pytest.raises(UserError, match=r"result\.json holds \[1\], expected an object"):
        ferjax.load(workdir)


def test_a_missing_checkpoint_of_a_finished_run_is_called_missing(finished, tmp_path):
    for name in ("config.json", "result.json"):
        shutil.copy(finished[0] / name, tmp_path / name)
    with pytest.raises(UserError, match=r"finished run whose 'best' checkpoint is missing"):
        TrainedModel.load(tmp_path, config=None)
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(UserError, match="checkpoint") as caught:
        TrainedModel.load(tmp_path, config=None)
    assert "writ" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints",
        "config.json",
        "result.json",
    ]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("meta/metadata", "meta/metadata, is missing"),
        ("weights", "its arrays in weights are missing"),
        ("weights/_METADATA", "its file weights/_METADATA is missing"),
        ("weights/manifest.ocdbt", "its arrays in weights cannot be read: "),
    ],
)
def test_a_missing_part_of_a_checkpoint_is_called_missing(finished, tmp_path, item, said):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    for checkpoint in (workdir / "checkpoints" / "best").iterdir():
        part = checkpoint / item
        shutil.rmtree(part) if part.is_dir() else part.unlink()
    with pytest.raises(UserError, match=f"cannot be used .*{said}"):
        TrainedModel.load(workdir, config=None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("_METADATA", b"garbage", "file weights/_METADATA is damaged"),
        ("_METADATA", b"{}", "file weights/_METADATA has no field 'tree_metadata'"),
        ("_METADATA", DEEP, "file weights/_METADATA is damaged"),
        ("_METADATA", b'{"tree_metadata": {"x": 5}}', "arrays in weights cannot be read"),
        ("array_metadatas/process_0", b"5", "arrays in weights cannot be read"),
        ("array_metadatas/process_0", DEEP, "arrays in weights cannot be read"),
    ],
)
def test_damaged_files_of_orbax(finished, tmp_path, name, content, said):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    for checkpoint in (workdir / "checkpoints" / "best").glob("[0-9]*"):
        (checkpoint / "weights" / name).write_bytes(content)
    with pytest.raises(UserError, match=f"cannot be used .its {said}"):
        TrainedModel.load(workdir, config=None)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("stranger", "none are made in a folder that a run's config.json names"),
        ("gs://stranger/data", "in a bucket that you did not name"),
    ],
)
def test_a_config_of_a_stranger_chooses_no_folder(finished, tmp_path, run_main, where, said):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    fields = json.loads((workdir / "config.json").read_text())
    fields["dataset"]["data_dir"] = where if ":" in where else str(tmp_path / where)
    (workdir / "config.json").write_text(json.dumps(fields))
    code, _, error = run_main(evaluate, f"--workdir={workdir}")
    assert code == 2 and said in error and "--data_dir" in error
    assert not (tmp_path / "stranger").exists()


def test_what_is_no_number_is_no_class():
    def predict(images):
        return np.where(images[:, :1, 0, 0] == 7, np.nan, 0.5).repeat(2, axis=1)

    classifier = Classifier(predict, labels=("a", "b"), native_shape=(4, 4, 1))
    images = np.zeros((3, 4, 4, 1), np.uint8)
    assert classifier.predict(images).tolist() == ["a", "a", "a"]
    images[2] = 7
    with pytest.raises(UserError, match=r"image 2 are not finite: the weights or the preproc"):
        classifier.predict(images)


def test_scores_of_what_is_no_number_are_refused(finished):
    directory = RunDirectory(finished[0])
    run = checkpoint_scores.FinishedRun.open(directory, stored_config.of_run(directory), "best")
    broken = jax.tree.map(lambda array: array * np.nan, run.trained.weights)
    run = dataclasses.replace(run, trained=dataclasses.replace(run.trained, weights=broken))
    with pytest.raises(
        UserError, match=r"of the test split are not finite \(single\): the weights"
    ):
        run.on_own_data("test", ["single"])


@pytest.mark.parametrize("harm", ["no_row", "no_file", "other_seed"])
def test_a_table_of_damaged_runs(finished, tmp_path, harm):
    workdir = tmp_path / "row" / "seed_0"
    shutil.copytree(finished[0], workdir)
    if harm == "no_file":
        (workdir / "metrics.jsonl").unlink()
    elif harm == "no_row":
        (workdir / "metrics.jsonl").write_text("")
    else:
        fields = json.loads((workdir / "result.json").read_text()) | {"seed": 3}
        (workdir / "result.json").write_text(json.dumps(fields))
    said = {
        "no_row": r"metrics\.jsonl has no row of epoch \d, which result\.json beside it says",
        "no_file": r"metrics\.jsonl cannot be read",
        "other_seed": r"seed is 0 in config\.json and 3 in result\.json",
    }
    with pytest.raises(UserError, match=said[harm]):
        table.collect(study_of(workdir, tmp_path), str(tmp_path))


def study_of(workdir, folder, **fields):
    """A study with one row, of the config of a finished run but for fields."""
    text = json.loads((workdir / "config.json").read_text())
    made = f"import ml_collections\ndef get_config(_): return ml_collections.ConfigDict({text!r})\n"
    (folder / "config.py").write_text(made)
    row = study.Row(name="row", arguments="", fields=fields, seeds=(0,))
    return study.Study("title", str(folder / "config.py"), "", (row,))


def test_the_run_of_another_config_is_not_in_a_table(finished, tmp_path):
    workdir = tmp_path / "row" / "seed_0"
    shutil.copytree(finished[0], workdir)
    said = []
    (row,) = table.collect(study_of(workdir, tmp_path), str(tmp_path), on_left_out=said.append)
    assert row.seeds == (0,) and not said
    other = study_of(workdir, tmp_path, **{"optimizer.learning_rate": 9.0})
    assert table.collect(other, str(tmp_path), on_left_out=said.append) == []
    assert len(said) == 1 and "is left out: it holds the run of another config" in said[0]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two small data sets of equal sizes with other faces; (root, options) of the first."""
    root = tmp_path_factory.mktemp("prepared")
    sizes = {"image_size": 8, "num_train": 14, "num_validation": 7, "num_test": 7}
    folders = []
    for seed in (0, 1):
        builder = prepare_synthetic(root, seed=seed, **sizes)
        folders.append(root / "synthetic" / builder.builder_config.name / "2.0.0")
    return root, sizes, folders


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("fingerprint", 5, "has fingerprint = 5, expected 64 hex digits"),
        ("fingerprint", GONE, "has no field 'fingerprint'"),
        ("counts", [1], "has counts = [1], expected an object"),
        ("counts/train", [-1], "has counts.train[0] = -1"),
        ("", None, "is damaged"),
    ],
)
def test_a_damaged_description_of_prepared_data(prepared, tmp_path, path, value, said):
    root, sizes, _ = prepared
    shutil.copytree(root, tmp_path / "data")
    for file in (tmp_path / "data").rglob("metadata.json"):
        fields = json.loads(file.read_text())
        file.write_text(json.dumps(changed(fields, path, value)) if path else "{")
    with pytest.raises(UserError, match=r"metadata\.json") as caught:
        open_dataset("synthetic", tmp_path / "data", **sizes)
    assert said in str(caught.value) and "prepare it again" in str(caught.value)


@pytest.mark.parametrize("in_memory", [True, False])
def test_records_of_another_data_set_are_refused(prepared, tmp_path, in_memory):
    root, sizes, (mine, other) = prepared
    shutil.copytree(root, tmp_path / "data")
    source = open_dataset("synthetic", tmp_path / "data", **sizes)
    for split in ("train", "validation", "test"):
        source.load(split, in_memory=in_memory)  # as they are, they are what they should be
    (shard,) = other.glob("*-test.array*")
    shutil.copy(shard, tmp_path / "data" / mine.relative_to(root) / shard.name)
    source = open_dataset("synthetic", tmp_path / "data", **sizes)
    with pytest.raises(UserError, match="does not hold the examples that its fingerprint is of"):
        for split in ("train", "validation", "test"):
            source.load(split, in_memory=in_memory)


def test_pixels_that_their_record_does_not_know_are_refused(prepared, monkeypatch):
    root, sizes, _ = prepared
    monkeypatch.setattr(records, "pixel_hash", lambda image: b"\0" * 32)
    with pytest.raises(UserError, match=r"do not have the SHA-256 in their record"):
        open_dataset("synthetic", root, **sizes).load("test")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("selection/step", 7, r"step is 7 in result\.json and \d+ in the checkpoint"),
        ("fingerprint", "0" * 64, r"fingerprint is .* in result\.json and .* in the checkpoint"),
    ],
)
def test_a_finished_run_with_the_result_of_another_is_refused(finished, path, value, said):
    directory = RunDirectory(finished[0])
    result = changed(directory.result(), path, value)
    config = stored_config.of_run(directory)
    preflight.check_finished(directory, config, directory.result())
    with pytest.raises(UserError, match=said):
        preflight.check_finished(directory, config, result)
