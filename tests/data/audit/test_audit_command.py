"""The audit command: its files and its messages."""

import functools
import io
import json

import numpy as np
import pytest
from PIL import Image

from ferjax.data import catalog, dataset
from ferjax.data.audit import __main__ as audit
from ferjax.data.audit import clean_index, findings
from ferjax.data.audit.near_duplicates import Pairs
from ferjax.data.audit.pooled import Pool
from ferjax.data.prepare import preparation
from tests.helpers.fake_fer2013 import SPEC, TOTAL, files, write_zip


@pytest.fixture
def run_command(run_main):
    """Runs the command in this process; returns its exit code, stdout and stderr."""
    return functools.partial(run_main, audit)


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A prepared FER2013 of noise; one image is in train and test with two labels, one is black."""
    monkeypatch.setitem(catalog.DATASETS, "fer2013", SPEC)
    content = files()
    content["test/sad/PrivateTest_0.jpg"] = content["train/happy/Training_1.jpg"]
    black = io.BytesIO()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(black, "JPEG")
    content["train/fear/Training_0.jpg"] = black.getvalue()
    preparation.prepare(SPEC, write_zip(tmp_path / "a.zip", content), tmp_path / "data")
    return tmp_path / "data"


def test_the_command_writes_its_files(run_command, data_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset=fer2013", f"--data_dir={data_dir}"]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    folder = tmp_path / "audit_fer2013"
    names = ["audit.html", "audit.json", "clean_test.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(f"audit_fer2013/{name}" in out for name in names)
    assert "Audit of FER2013" in out and "largest : smallest" in out
    fields = json.loads((folder / "audit.json").read_text())
    assert fields["figures"]["examples"] == TOTAL
    assert fields["figures"]["surplus exact copies"] == 1
    assert fields["figures"]["black images"] == 1
    keys = [one["key"] for one in fields["exact_groups"][0]["images"]]
    assert keys == ["train/happy/Training_1.jpg", "test/sad/PrivateTest_0.jpg"]
    assert "1. 2 images" in (folder / "audit.html").read_text()

    opened = dataset.open_dataset("fer2013", data_dir)
    clean = clean_index.read_clean_index(folder / "clean_test.json", opened)
    wanted = np.array([key != keys[1] for key in opened.load("test").keys])
    for name in clean_index.GROUPS:
        np.testing.assert_array_equal(clean[name], wanted)

    (folder / "audit.html").write_text("old")
    code, _, err = run_command(*arguments)
    assert code == 0, err
    assert (folder / "audit.html").read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in folder.iterdir()) == names


def test_options_reach_the_data_set(run_command, tmp_path):
    options = "image_size=16,channels=3,num_train=14,num_validation=7,num_test=7"
    output = tmp_path / "out"
    code, _, err = run_command(
        "--dataset=synthetic",
        f"--data_dir={tmp_path}",
        f"--options={options}",
        f"--output={output}",
    )
    assert code == 0, err
    fields = json.loads((output / "audit.json").read_text())
    assert fields["figures"]["examples"] == 28
    assert fields["figures"]["surplus exact copies"] == 0
    assert fields["exact_groups"] == fields["near_groups"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=fer2013"], "FER2013 is not prepared in"),
        (["--dataset=fer"], "there is no data set 'fer'. Did you mean 'fer2013'?"),
        (["--dataset=fer2013", "--options=fold=1"], "fer2013 has no option 'fold'. It has none."),
        (["--dataset=ck_plus", "--options=folds=1"], "no option 'folds'. Did you mean 'fold'?"),
        (["--dataset=ck_plus", "--options=fold=x"], "fold is 'x'; expected a value like 0"),
        (["--dataset=ck_plus", "--options=fold"], "has 'fold'; expected NAME=VALUE"),
        (["--dataset=ck_plus", "--options=fold=1,fold=2"], "gives 'fold' twice"),
        (["--dataset=ck_plus", "fold=1"], "unexpected argument 'fold=1'"),
        ([], "--dataset is required"),
    ],
)
def test_what_is_asked_wrongly(run_command, tmp_path, arguments, message):
    code, _, err = run_command(*arguments, f"--data_dir={tmp_path}")
    assert code == 2
    assert message in err


def test_without_a_test_split_nothing_is_clean(data_dir):
    opened = dataset.open_dataset("fer2013", data_dir)
    pool = Pool({split: opened.load(split, in_memory=False) for split in ("train", "validation")})
    none = np.zeros(0, int)
    found = findings.clean_positions(pool, Pairs(none, none, none, none, none, 0))
    assert [len(rows) for rows in found.values()] == [0, 0]


def test_a_folder_that_cannot_be_written(run_command, data_dir, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run_command(
        "--dataset=fer2013", f"--data_dir={data_dir}", f"--output={tmp_path}/file"
    )
    assert code == 2
    assert f"cannot write to {tmp_path}/file" in err and "--output" in err


def test_the_command_starts_light(run_python):
    heavy = "{'jax', 'numpy', 'scipy', 'tensorflow_datasets', 'imagehash', 'PIL'}"
    code = f"import sys, ferjax.data.audit; print(sorted({heavy} & set(sys.modules)))"
    assert run_python(code).stdout.strip() == "[]"
