"""Preparation: what it makes, what it refuses, and what a kill leaves behind."""

import io
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from fake_fer2013 import (
    COUNTS,
    SPEC,
    TOTAL,
    files,
    rows,
    write_fer2013_csv,
    write_folder,
    write_zip,
)
from rich.console import Console

from ferjax import command
from ferjax.data import catalog, clean, preparation, prepare, source, storage
from ferjax.errors import UserError

# Prepares FER2013 in a process that kills itself when the last example has been handed over.
KILLED = """
import contextlib, os, signal, sys
sys.path.insert(0, "tests/data")
from fake_fer2013 import SPEC, TOTAL
from ferjax.data import preparation, preparation_progress

@contextlib.contextmanager
def bar(console, description, total):
    left = [TOTAL]
    def advance():
        left[0] -= 1
        if description == "writing" and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    yield advance

preparation_progress.bar = bar
preparation.prepare(SPEC, sys.argv[1], sys.argv[2], overwrite=True)
"""


@pytest.fixture
def zip_path(tmp_path):
    return write_zip(tmp_path / "fer2013.zip", files())


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.DATASETS, "fer2013", SPEC)
    return tmp_path / "data"


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Runs the command in this process; returns its exit code, stdout and stderr."""

    def run(*arguments):
        for flag in prepare.FLAGS:
            prepare.FLAGS[flag].unparse()
        with pytest.raises(SystemExit) as caught:
            command.run(prepare.main, flag_values=prepare.FLAGS, argv=["prepare", *arguments])
        return caught.value.code, *capsys.readouterr()

    return run


def names_below(path):
    return sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())


def test_the_command_prepares_and_says_what_it_made(run_command, zip_path, data_dir, monkeypatch):
    def connect(*_):
        raise AssertionError("preparation opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", connect)
    arguments = ["--dataset=fer2013", f"--source={zip_path}", f"--data_dir={data_dir}"]
    code, out, err = run_command(*arguments)
    assert code == 0, err
    opened = source.open_dataset("fer2013", data_dir)
    assert f"FER2013 (zip) is ready: {data_dir}/fer2013/1.0.0" in out
    table = [line.split() for line in out.splitlines() if line.startswith(tuple(COUNTS))]
    assert table == [
        [split, *map(str, counts), str(sum(counts))] for split, counts in COUNTS.items()
    ]
    assert f"fingerprint {opened.fingerprint}" in out
    assert "python -m ferjax.main --config=configs/cbam_island.py:dataset=fer2013" in out
    assert f"--config.dataset.data_dir={data_dir}" in out
    assert f"writing: {TOTAL} of {TOTAL}" in err
    assert names_below(data_dir) == [
        "fer2013/.preparing",
        "fer2013/1.0.0/dataset_info.json",
        "fer2013/1.0.0/features.json",
        "fer2013/1.0.0/fer2013-test.array_record-00000-of-00001",
        "fer2013/1.0.0/fer2013-train.array_record-00000-of-00001",
        "fer2013/1.0.0/fer2013-validation.array_record-00000-of-00001",
        "fer2013/1.0.0/label.labels.txt",
        "fer2013/1.0.0/metadata.json",
    ]
    code, out, _ = run_command(*arguments)
    assert code == 0
    assert "had been prepared before, with the same content" in out


def test_the_metadata_holds_fingerprint_format_and_counts(zip_path, data_dir):
    prepared = preparation.prepare(SPEC, zip_path, data_dir)
    metadata = storage.open_finished(prepared.directory).info.metadata
    assert metadata == {
        "fingerprint": prepared.fingerprint,
        "source_format": "zip",
        "counts": {split: list(counts) for split, counts in COUNTS.items()},
    }


def test_the_order_depends_on_the_content_alone(tmp_path, data_dir):
    content = files()
    content["train/sad/Training_0.jpg"] = content["train/happy/Training_0.jpg"]  # a known defect
    csv = write_fer2013_csv(tmp_path / "a.csv", reversed(list(rows(content))))
    loaded = []
    for path in [write_folder(tmp_path / "a", content), csv]:
        preparation.prepare(SPEC, path, data_dir / path.name)
        loaded.append(source.open_dataset("fer2013", data_dir / path.name).load("train"))
    np.testing.assert_array_equal(loaded[0].images, loaded[1].images)
    np.testing.assert_array_equal(loaded[0].labels, loaded[1].labels)


def test_other_content_needs_overwrite(run_command, tmp_path, zip_path, data_dir):
    arguments = ["--dataset=fer2013", f"--data_dir={data_dir}"]
    first = preparation.prepare(SPEC, zip_path, data_dir)
    other = write_zip(tmp_path / "other.zip", files(seed=1))
    code, _, err = run_command(*arguments, f"--source={other}")
    assert code == 2
    assert "already holds FER2013 with other content" in err
    assert "Pass --overwrite" in err
    assert source.open_dataset("fer2013", data_dir).fingerprint == first.fingerprint
    code, _, err = run_command(*arguments, f"--source={other}", "--overwrite")
    assert code == 0, err
    second = source.open_dataset("fer2013", data_dir)
    assert second.fingerprint != first.fingerprint
    assert len(second.load("train")) == sum(COUNTS["train"])


def test_missing_images_are_counted(zip_path, data_dir):
    content = files()
    del content["train/happy/Training_2.jpg"], content["test/disgust/PrivateTest_1.jpg"]
    write_zip(zip_path, content)
    with pytest.raises(UserError) as caught:
        preparation.prepare(SPEC, zip_path, data_dir)
    message = str(caught.value)
    assert f"{TOTAL - 2} images found, {TOTAL} expected" in message
    assert "train happy: 2 found, 3 expected" in message
    assert "test disgust: 1 found, 2 expected" in message
    assert message.count("expected\n") == 2
    assert not data_dir.exists()


def test_an_image_too_many_is_refused(zip_path, data_dir):
    content = files()
    content["train/fear/Training_9.jpg"] = content["train/fear/Training_0.jpg"]
    write_zip(zip_path, content)
    with pytest.raises(UserError, match="train fear: 2 found, 1 expected"):
        preparation.prepare(SPEC, zip_path, data_dir)


def test_a_missing_source_says_how_to_obtain_it(run_command, tmp_path):
    missing = tmp_path / "none.zip"
    code, _, err = run_command("--dataset=fer2013", f"--source={missing}")
    assert code == 2
    assert f"error: there is nothing at {missing}" in err
    assert "msambare/fer2013" in err
    assert "python -m ferjax.data.prepare --dataset=fer2013 --source=" in err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--dataset=fer2103", "--source=x"], "no data set 'fer2103'. Did you mean 'fer2013'?"),
        (["--dataset=fer2013"], "--source is required"),
        (["--dataset=synthetic"], "synthetic needs no preparation"),
        (["--source=x"], "--dataset is required"),
        (["--dataset=fer2013", "x.zip"], "unexpected argument 'x.zip'"),
        (["--dataset=fer2013", "--sorce=x"], "unknown flag --sorce. Did you mean '--source'?"),
    ],
)
def test_wrong_arguments(run_command, arguments, expected):
    code, out, err = run_command(*arguments)
    assert (code, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err


def test_a_place_that_cannot_be_written(tmp_path, zip_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*/file/fer2013"):
        preparation.prepare(SPEC, zip_path, tmp_path / "file")


@pytest.mark.parametrize("over_another", [False, True])
def test_a_kill_leaves_nothing_that_looks_finished(
    run_python, tmp_path, zip_path, data_dir, over_another
):
    if over_another:
        other = write_zip(tmp_path / "other.zip", files(seed=1))
        preparation.prepare(SPEC, other, data_dir)
    done = run_python(["-c", KILLED, zip_path, data_dir], check=False)
    assert done.returncode == -9, done.stderr
    assert list((data_dir / "fer2013").glob("incomplete.*"))
    with pytest.raises(UserError, match="FER2013 is not prepared in"):
        source.open_dataset("fer2013", data_dir)
    preparation.prepare(SPEC, zip_path, data_dir)
    assert len(source.open_dataset("fer2013", data_dir).load("test")) == sum(COUNTS["test"])
    assert not list((data_dir / "fer2013").glob("incomplete.*"))


def test_an_interruption_keeps_what_was_there(tmp_path, zip_path, data_dir, monkeypatch):
    before = preparation.prepare(SPEC, zip_path, data_dir)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "_write", interrupted)
    other = write_zip(tmp_path / "other.zip", files(seed=1))
    with pytest.raises(KeyboardInterrupt):
        preparation.prepare(SPEC, other, data_dir, overwrite=True)
    assert source.open_dataset("fer2013", data_dir).fingerprint == before.fingerprint


def test_a_data_set_with_a_missing_file_is_not_finished(zip_path, data_dir):
    prepared = preparation.prepare(SPEC, zip_path, data_dir)
    (shard,) = prepared.directory.glob("*train.array_record*")
    shard.unlink()
    with pytest.raises(UserError, match="only half there"):
        source.open_dataset("fer2013", data_dir)
    assert not preparation.prepare(SPEC, zip_path, data_dir).was_there
    assert len(source.open_dataset("fer2013", data_dir).load("train")) == sum(COUNTS["train"])


def test_a_second_preparation_waits_for_the_first(zip_path, data_dir):
    waiting = threading.Event()
    results = []

    class Output(io.StringIO):
        def write(self, text):
            if "waiting for it to end" in text:
                waiting.set()
            return super().write(text)

    def second():
        console = Console(file=Output(), width=200)
        results.append(preparation.prepare(SPEC, zip_path, data_dir, console=console))

    thread = threading.Thread(target=second)
    with storage.exclusive(storage.version_dir(storage.resolve(data_dir), "fer2013").parent):
        thread.start()
        assert waiting.wait(timeout=30)
        assert not results
    thread.join(timeout=30)
    assert results[0].directory.exists()


@pytest.mark.skipif(
    not os.environ.get("FERJAX_TEST_FER2013"),
    reason="FERJAX_TEST_FER2013 does not name the zip of the real FER2013",
)
def test_the_real_fer2013(tmp_path):
    path = Path(os.environ["FERJAX_TEST_FER2013"])
    prepared = preparation.prepare(catalog.FER2013, path, tmp_path)
    opened = source.open_dataset("fer2013", tmp_path)
    assert opened.num_examples == {"train": 28709, "validation": 3589, "test": 3589}
    assert opened.image_shape == (48, 48, 1)
    splits = {split: opened.load(split) for split in catalog.SPLITS}
    assert {split: part.counts(7) for split, part in splits.items()} == {
        "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
        "validation": (467, 56, 496, 895, 653, 415, 607),
        "test": (491, 55, 528, 879, 594, 416, 626),
    }
    assert sum(len(set(part.keys)) for part in splits.values()) == 35887
    black = [(part.images.max(axis=(1, 2, 3)) == 0).sum() for part in splits.values()]
    assert sum(black) == 12
    mask = clean.clean_test_mask(
        splits["test"].images, splits["train"].images, splits["validation"].images
    )
    assert mask.sum() == 3268
    assert opened.fingerprint == prepared.fingerprint
