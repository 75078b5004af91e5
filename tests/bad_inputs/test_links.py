"""Links and FIFOs in data and run folders."""

import os
import shutil

import pytest
from ml_collections import ConfigDict

from ferjax.data.prepare import __main__ as prepare
from ferjax.errors import UserError
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import ENTRIES, RunDirectory
from tests.helpers import strangers as made


@pytest.mark.parametrize(
    "entry",
    ["", "/mine", "/mine/.preparing", "/mine/incomplete.x", "/mine/2.0.0"],
)
def test_a_data_directory_is_left_through_no_link(entry, refused, tmp_path):
    outside = made.folder(tmp_path / "outside")
    kept = made.text(outside / "kept")
    link = tmp_path / "data" / f"image_folder{entry}"
    link.parent.mkdir(parents=True)
    link.symlink_to(kept if entry.endswith(".preparing") else outside)
    source = made.class_folders(tmp_path / "source")
    arguments = ["--dataset=image_folder", "--name=mine", f"--data_dir={tmp_path}/data"]
    assert f"{link} is a link to {outside}" in refused(prepare, *arguments, f"--source={source}")
    assert os.listdir(outside) == ["kept"] and kept.read_text() == "no image"


@pytest.mark.parametrize("entry", [*ENTRIES, "checkpoints/best", "checkpoints/last/8/weights"])
def test_a_run_folder_is_left_through_no_link(entry, tmp_path):
    kept = made.text(made.folder(tmp_path / "outside") / "kept")
    real = made.folder(tmp_path / "real")
    (tmp_path / "run").symlink_to(real)  # the folder itself may be one
    link = tmp_path / "run" / entry
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(kept if "." in entry else kept.parent)
    config = ConfigDict({"seed": 1})
    with (
        pytest.raises(UserError, match=r"is a link to .*follows no link in a workdir") as caught,
        RunDirectory(tmp_path / "run").claim(config),
    ):
        raise AssertionError("the folder was claimed")
    assert str(link) in str(caught.value)
    assert os.listdir(kept.parent) == ["kept"] and kept.read_text() == "no image"
    link.unlink()
    shutil.rmtree(real / "checkpoints", ignore_errors=True)
    with RunDirectory(tmp_path / "run").claim(config):
        pass


@pytest.mark.parametrize("name", ["result.json", "result.json.new"])
def test_what_is_written_follows_no_link(name, tmp_path):
    kept = made.text(tmp_path / "kept")
    made.folder(tmp_path / "run")
    (tmp_path / "run" / name).symlink_to(kept)
    try:
        RunDirectory(tmp_path / "run").write_result({"a": 1})
    except UserError as error:
        assert name == "result.json" and "it is a link" in str(error)
    assert kept.read_text() == "no image"


@pytest.mark.parametrize("name", ["config.json", "result.json", ".processes"])
def test_files_of_a_run_that_are_fifos(name, tmp_path):
    made.fifo(tmp_path / name)
    directory = RunDirectory(tmp_path)
    if name == ".processes":
        assert directory.found_mark() is None
        return
    with pytest.raises(UserError, match=rf"{name} cannot be read .*it is a FIFO"):
        directory.config_fields() if name == "config.json" else directory.result()


def test_a_checkpoint_with_a_fifo_is_not_read(tmp_path):
    where = tmp_path / "checkpoints" / "best" / "8" / "meta"
    where.mkdir(parents=True)
    made.fifo(where / "metadata")
    with pytest.raises(UserError, match=r"cannot be used .*it is a FIFO"):
        checkpoint_files.newest(tmp_path, "best")
