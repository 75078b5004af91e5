"""What happens to a run when its disk fills up, or cannot be written."""

import json
import os
import shutil
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import SaveFailed, UserError
from ferjax.training import loop, trunks
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.metrics_log import JsonlLog
from tests.helpers import tiny
from tests.helpers.stored import holding

NAMESPACE = ("unshare", "--map-root-user", "--mount")
ALL_STEPS = list(range(1, 16))


@pytest.fixture(scope="module")
def disks(tmp_path_factory, data_dir, repository):
    """What tests/helpers/full_disk.py saw, and what it said of each disk."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed, so that no small disk can be mounted")
    folder = tmp_path_factory.mktemp("disks")
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "tests.helpers.full_disk", folder, data_dir],
        cwd=repository,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 3 or "unshare failed" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    said = dict(part.split("\n", 1) for part in done.stderr.split("--- ")[1:])
    return json.loads(done.stdout.splitlines()[-1]), said


def test_a_full_disk_stops_the_run_and_leaves_the_checkpoint_before(disks):
    """Started again while it is full, it says so again, and goes on once there is room."""
    seen, said = disks[0]["stop"], disks[1]["stop"]
    assert (seen["first"], seen["still_full"], seen["second"]) == (2, 2, 0)
    assert seen["saved"] == [2, 4] and seen["steps"] == ALL_STEPS
    assert "No space left on device" in said and "This is a defect" not in said
    assert "cannot be saved in" in said and "the same command resumes the run" in said


def test_a_full_disk_may_be_passed_over(disks):
    seen, said = disks[0]["continue"], disks[1]["continue"]
    assert (seen["first"], seen["second"]) == (0, 0)
    assert seen["saved"] == [14, 15] and seen["steps"] == ALL_STEPS
    assert "Going on without it, as train.on_failed_save says." in said


def test_a_disk_that_cannot_be_written_is_reported(disks):
    said = disks[1]["read_only"]
    assert disks[0]["read_only"] == 2
    assert "error: The workdir" in said and "Read-only file system" in said
    assert "This is a defect" not in said


def state(number):
    return holding(jnp.full((8, 8), number, jnp.float32))


def test_a_save_that_fails_leaves_the_checkpoint_before_and_nothing_else(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path)
    saved.save_last(1, state(1), {}, {})
    saved.wait()
    manager = saved._managers["last"]
    leftover = tmp_path / "checkpoints" / "last" / "2.orbax-checkpoint-tmp"

    def fails():
        leftover.mkdir()
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(manager, "wait_until_finished", fails)
        saved._saving["last"] = 2
        message = (
            r"The last checkpoint of step 2 cannot be saved in .* That of step 1 is whole\. Make"
        )
        with pytest.raises(SaveFailed, match=message):
            saved.wait()
    assert not leftover.exists()
    found, _ = saved.restore(state(0))
    np.testing.assert_array_equal(found.weights["x"], state(1).weights["x"])
    saved.save_last(3, state(3), {}, {})
    saved.close()
    assert saved.latest("last") == 3


def test_what_a_failed_save_is_still_writing_is_no_defect(tmp_path, monkeypatch):
    """Orbax reports the first of its threads that fails, not the last one that writes."""
    saved = Checkpoints(tmp_path)
    leftover = tmp_path / "checkpoints" / "last" / "2.orbax-checkpoint-tmp"
    leftover.mkdir()
    rmtree, refusals = shutil.rmtree, [OSError(39, "Directory not empty")]

    def busy(path, *args, **kwargs):
        if refusals:
            raise refusals.pop()
        rmtree(path, *args, **kwargs)

    def fails():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "rmtree", busy)
    monkeypatch.setattr(saved._managers["last"], "wait_until_finished", fails)
    with pytest.raises(SaveFailed, match="No space left"):
        saved.wait()
    assert not refusals and not leftover.exists()


def test_another_choice_is_refused(data_dir, tmp_path):
    """Before the trunks of a fusion are trained, too."""
    for group in ("", "stages.resnet34."):
        fusion = tiny.module("attention_fusion").get_config("dataset=synthetic")
        fusion.update_from_flattened_dict({f"{group}train.on_failed_save": "stopp"})
        with pytest.raises(UserError, match=r"on_failed_save is 'stopp'"):
            trunks.own_runs(fusion, RunDirectory(tmp_path))
    config = tiny.config(data_dir, train__on_failed_save="stopp")
    with pytest.raises(UserError, match=r"on_failed_save is 'stopp'; expected one of stop, con"):
        loop.train(config, str(tmp_path / "run"))


def test_rows_that_a_full_disk_does_not_take_come_later(tmp_path, monkeypatch):
    log = JsonlLog(tmp_path / "metrics.jsonl")
    log.write({"kind": "train", "step": 1})
    disk = log._file

    class Full:
        """Takes five more bytes."""

        room = 5

        def write(self, data):
            if not self.room:
                raise OSError(28, "No space left on device")
            written, self.room = disk.write(data[: self.room]), 0
            return written

        fileno = disk.fileno

    log._file = Full()
    log.write({"kind": "train", "step": 2})
    log.write({"kind": "train", "step": 3})
    with pytest.raises(OSError, match="No space left"):
        log.flush()
    log._file = disk
    log.write({"kind": "train", "step": 4})
    log.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
