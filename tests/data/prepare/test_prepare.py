"""Preparation: what it makes, what it refuses, and what a kill leaves behind."""

import io
import threading

import numpy as np
import pytest
from rich.console import Console

from ferjax.data import catalog, dataset
from ferjax.data.prepare import preparation
from ferjax.data.storage import local, writing
from ferjax.errors import UserError
from tests.helpers import watched
from tests.helpers.fake_fer2013 import (
    COUNTS,
    SPEC,
    TOTAL,
    files,
    rows,
    write_fer2013_csv,
    write_folder,
    write_zip,
)

# Prepares FER2013 in a process that kills itself when the last example has been handed over.
KILLED = """
import contextlib, os, signal, sys
from tests.helpers.fake_fer2013 import SPEC, TOTAL
from ferjax.cli import progress
from ferjax.data.prepare import preparation

@contextlib.contextmanager
def bar(console, description, total):
    left = [TOTAL]
    def advance():
        left[0] -= 1
        if description == "writing" and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    yield advance

progress.bar = bar
preparation.prepare(SPEC, sys.argv[1], sys.argv[2], overwrite=True)
"""


@pytest.fixture
def zip_path(tmp_path):
    return write_zip(tmp_path / "fer2013.zip", files())


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.DATASETS, "fer2013", SPEC)
    return tmp_path / "data"


def test_the_metadata_holds_fingerprint_format_and_counts(zip_path, data_dir):
    prepared = preparation.prepare(SPEC, zip_path, data_dir)
    metadata = local.open_finished(prepared.directory).info.metadata
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
        loaded.append(dataset.open_dataset("fer2013", data_dir / path.name).load("train"))
    np.testing.assert_array_equal(loaded[0].images, loaded[1].images)
    np.testing.assert_array_equal(loaded[0].labels, loaded[1].labels)


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
        dataset.open_dataset("fer2013", data_dir)
    preparation.prepare(SPEC, zip_path, data_dir)
    assert len(dataset.open_dataset("fer2013", data_dir).load("test")) == sum(COUNTS["test"])
    assert not list((data_dir / "fer2013").glob("incomplete.*"))


def test_an_interruption_keeps_what_was_there(tmp_path, zip_path, data_dir, monkeypatch):
    before = preparation.prepare(SPEC, zip_path, data_dir)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write", interrupted)
    other = write_zip(tmp_path / "other.zip", files(seed=1))
    with pytest.raises(KeyboardInterrupt):
        preparation.prepare(SPEC, other, data_dir, overwrite=True)
    assert dataset.open_dataset("fer2013", data_dir).fingerprint == before.fingerprint


def test_a_data_set_with_a_missing_file_is_not_finished(zip_path, data_dir):
    prepared = preparation.prepare(SPEC, zip_path, data_dir)
    (shard,) = prepared.directory.glob("*train.array_record*")
    shard.unlink()
    with pytest.raises(UserError, match="only half there"):
        dataset.open_dataset("fer2013", data_dir)
    assert not preparation.prepare(SPEC, zip_path, data_dir).was_there
    assert len(dataset.open_dataset("fer2013", data_dir).load("train")) == sum(COUNTS["train"])


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
    root = local.resolve(data_dir)
    with local.exclusive(local.version_dir(root, "fer2013").parent, root=root):
        thread.start()
        watched.until(waiting.is_set, "the second preparation waits")
        assert not results
    watched.until(lambda: not thread.is_alive(), "the second preparation ends")
    assert results[0].directory.exists()
