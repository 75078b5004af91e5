"""launch/tpu_worker.sh, the part of the TPU recipe that runs on each worker."""

import os
import shutil
import signal
import subprocess

import pytest

from tests.helpers.fake_programs import AWKWARD, LAUNCH, SAVES, Fakes

# Seconds for a run to save, which takes moments: no slow machine needs them all.
GRACE = "600"


@pytest.fixture
def fakes(tmp_path):
    fakes = Fakes(tmp_path, "python3")
    yield fakes
    fakes.close()


@pytest.fixture
def worker(fakes):
    """The script in a copy of the repository whose virtual environment is a fake."""
    repository = fakes.folder / "ferjax"
    (repository / "launch").mkdir(parents=True)
    shutil.copy(LAUNCH / "tpu_worker.sh", repository / "launch")
    fakes.put(repository / ".venv" / "bin" / "python")
    return repository / "launch" / "tpu_worker.sh"


def start_saving_run(fakes, worker):
    fakes.answer("python", "first", SAVES.format(fakes.folder))
    process = fakes.start(worker, "run", GRACE, "-m", "ferjax.main", "first")
    fakes.wait_for_file("up")
    return process


def test_install(fakes, worker):
    assert fakes.run(worker, "install", "3.12").returncode == 0
    uv = ["python3", "-m", "uv"]
    assert fakes.calls() == [
        ["python3", "-m", "pip", "install", "--quiet", "--user", "uv"],
        [*uv, "venv", "--quiet", "--allow-existing", "--python", "3.12", ".venv"],
        [*uv, "pip", "install", "--quiet", "--python", ".venv/bin/python",
         "--constraint", "constraints.txt", ".[tpu]"],
    ]  # fmt: skip


def test_a_failed_installation_ends_at_once(fakes, worker):
    fakes.answer("python3", "uv venv", "exit 3")
    assert fakes.run(worker, "install", "3.11").returncode == 3
    assert len(fakes.calls()) == 2


@pytest.mark.parametrize("code", [0, 70, 75])
def test_run_ends_as_python_does_and_says_so(fakes, worker, code):
    fakes.answer("python", "ferjax.main", f"exit {code}")
    done = fakes.run(worker, "run", GRACE, "-m", "ferjax.main", AWKWARD)
    assert done.returncode == code
    assert done.stdout == f"launch: worker exit code {code}\n"
    assert fakes.calls() == [["python", "-m", "ferjax.main", AWKWARD]]


def test_stop_sends_one_signal_and_waits_for_the_save(fakes, worker):
    process = start_saving_run(fakes, worker)
    assert fakes.run(worker, "stop", GRACE).returncode == 0
    done = fakes.finish(process)
    assert (done.returncode, done.stdout) == (75, "launch: worker exit code 75\n")
    assert (fakes.folder / "signals").read_text() == "saved\n"


def test_a_shutdown_signals_everybody_and_the_code_is_still_python_s(fakes, worker):
    process = start_saving_run(fakes, worker)
    os.killpg(process.pid, signal.SIGTERM)
    done = fakes.finish(process)
    assert (done.returncode, done.stdout) == (75, "launch: worker exit code 75\n")
    assert (fakes.folder / "signals").read_text() == "saved\n"


def test_a_run_that_an_earlier_connection_left_is_stopped_first(fakes, worker):
    earlier = start_saving_run(fakes, worker)
    again = fakes.run(worker, "run", GRACE, "-m", "ferjax.main", "second")
    assert (fakes.finish(earlier).returncode, again.returncode) == (75, 0)
    assert (fakes.folder / "signals").read_text() == "saved\n"


def test_a_run_that_does_not_stop_is_killed(fakes, worker):
    stubborn = "trap '' TERM; touch {0}/up; for ((i = 0; i < 1200; i++)); do sleep 0.05; done"
    fakes.answer("python", "first", stubborn.format(fakes.folder))
    process = fakes.start(worker, "run", GRACE, "-m", "ferjax.main", "first")
    fakes.wait_for_file("up")
    assert fakes.run(worker, "stop", "0").returncode == 0
    done = fakes.finish(process)
    assert (done.returncode, done.stdout) == (137, "launch: worker exit code 137\n")


def test_another_process_with_the_old_number_is_left_alone(fakes, worker):
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (worker.parent.parent / "run.pid").write_text(f"{bystander.pid}\n")
        assert fakes.run(worker, "stop", "1").returncode == 0
        assert bystander.poll() is None
        bystander.kill()


def test_an_unknown_action_is_refused(fakes, worker):
    done = fakes.run(worker, "start")
    assert done.returncode == 2
    assert "unknown action start" in done.stderr
