"""launch/gpu_box.sh against a fake Python: installation, restarts, signals."""

import os
import signal

import pytest

from tests.helpers.fake_programs import AWKWARD, LAUNCH, SAVES, Fakes, assert_dry_run_is_exact

SCRIPT = LAUNCH / "gpu_box.sh"
VARIABLES = {"CONFIG": "configs/cbam_island.py", "WORKDIR": "my runs/a", "RESTART_SECONDS": "0"}


@pytest.fixture
def fakes(tmp_path):
    fakes = Fakes(tmp_path, "python3")
    fakes.answer_venv()
    yield fakes
    fakes.close()


@pytest.fixture
def variables(fakes):
    return VARIABLES | {"VENV": str(fakes.folder / "my environment")}


def runs(fakes):
    return [call for call in fakes.calls() if "ferjax.main" in call]


def test_the_whole_course_and_its_dry_run(fakes, variables):
    done = fakes.run(SCRIPT, "--", AWKWARD, **variables)
    assert done.returncode == 0, done.stderr
    fresh = variables | {"VENV": str(fakes.folder / "an other")}
    assert fakes.calls() == [
        ["python3", "-m", "venv", variables["VENV"]],
        ["python", "-m", "pip", "install", "--constraint", f"{LAUNCH.parent}/constraints.txt",
         "--editable", f"{LAUNCH.parent}[cuda12]"],
        ["python", "-m", "ferjax.main", "--config=configs/cbam_island.py", "--workdir=my runs/a",
         "--distributed=off", AWKWARD],
    ]  # fmt: skip
    (fakes.folder / "calls").unlink()
    fakes.run(SCRIPT, "--", AWKWARD, **fresh)
    (fakes.folder / "an other" / "bin" / "python").rename(fakes.folder / "python")
    (fakes.folder / "an other" / "bin").rmdir()
    (fakes.folder / "an other").rmdir()
    assert_dry_run_is_exact(fakes, SCRIPT, "--", AWKWARD, **fresh)


def test_an_environment_that_is_there_is_used(fakes, variables):
    fakes.run(SCRIPT, **variables)
    fakes.run(SCRIPT, **variables)
    assert len(fakes.calls()) == 3 + 1
    assert len(runs(fakes)) == 2


def test_a_folder_that_is_no_environment_is_refused_and_left_alone(fakes, variables):
    (fakes.folder / "my environment").mkdir()
    done = fakes.run(SCRIPT, **variables)
    assert (done.returncode, fakes.calls()) == (2, [])
    assert "which exists and has no bin/python" in done.stderr
    assert (fakes.folder / "my environment").exists()


@pytest.mark.parametrize("keep", ["0", "1"])
def test_a_failed_installation_leaves_no_half_made_environment(fakes, variables, keep):
    fakes.answer("python", "pip install", "exit 4")
    done = fakes.run(SCRIPT, **variables, KEEP=keep)
    assert done.returncode == 4
    assert "could not be installed" in done.stderr
    assert (fakes.folder / "my environment").exists() == (keep == "1")
    assert runs(fakes) == []


def test_exit_code_75_restarts(fakes, variables):
    fakes.answer("python", "ferjax.main", "exit 75", "exit 75", "exit 0")
    done = fakes.run(SCRIPT, "--", AWKWARD, **variables)
    assert done.returncode == 0
    first, *others = runs(fakes)
    assert others == [first, first]
    assert "restart 2 of 10" in done.stderr


def test_restarts_are_limited(fakes, variables):
    fakes.answer("python", "ferjax.main", "exit 75")
    done = fakes.run(SCRIPT, **variables, MAX_RESTARTS="2")
    assert done.returncode == 75
    assert len(runs(fakes)) == 3
    assert "MAX_RESTARTS is reached" in done.stderr


@pytest.mark.parametrize("ending", ["exit 1", "exit 2", "exit 70", "exit 130", "kill -KILL $$"])
def test_no_other_ending_restarts(fakes, variables, ending):
    fakes.answer("python", "ferjax.main", ending)
    done = fakes.run(SCRIPT, **variables)
    code = 137 if "kill" in ending else int(ending.removeprefix("exit "))
    assert done.returncode == code
    assert len(runs(fakes)) == 1
    assert f"ferjax ended with exit code {code}" in done.stderr


@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_nothing_restarts(fakes, variables, send, number):
    fakes.answer("python", "ferjax.main", SAVES.format(fakes.folder))
    process = fakes.start(SCRIPT, **variables)
    fakes.wait_for_file("up")
    send(process.pid, number)
    assert fakes.finish(process).returncode == 75
    assert (fakes.folder / "signals").read_text() == "saved\n"
    assert len(runs(fakes)) == 1
