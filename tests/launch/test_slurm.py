"""launch/slurm.sh and the job that it submits, against a fake SLURM."""

import signal

import pytest

from tests.helpers.fake_programs import AWKWARD, LAUNCH, UNTIL, Fakes, assert_dry_run_is_exact

SCRIPT = LAUNCH / "slurm.sh"
JOB = LAUNCH / "slurm_job.sh"
COMMAND = ["/shared/my venv/bin/python", "-m", "ferjax.main", AWKWARD]


@pytest.fixture
def fakes(tmp_path):
    fakes = Fakes(tmp_path, "python3 sbatch srun scontrol squeue scancel")
    fakes.answer_venv()
    fakes.answer("sbatch", "", "echo '4711;cluster'")
    yield fakes
    fakes.close()


@pytest.fixture
def variables(fakes):
    fakes.put(fakes.folder / "venv" / "bin" / "python")
    return {
        "CONFIG": "configs/cbam_island.py",
        "WORKDIR": "/shared/my runs/a",
        "NODES": "4",
        "GPUS_PER_NODE": "8",
        "TIME": "08:00:00",
        "VENV": str(fakes.folder / "venv"),
    }


def run_job(fakes, state="RUNNING", max_restarts="3", **variables):
    fakes.answer("squeue", "", f"echo {state}")
    arguments = [str(LAUNCH.parent), max_restarts, "120", *COMMAND]
    return fakes.run(JOB, *arguments, SLURM_JOB_ID="4711", **variables)


def requeued(fakes):
    return ["scontrol", "requeue", "4711"] in fakes.calls()


def test_what_is_submitted_and_its_dry_run(fakes, variables):
    done = fakes.run(SCRIPT, "--", AWKWARD, **variables)
    assert done.returncode == 0, done.stderr
    logs = f"{fakes.folder}/slurm_logs"
    assert f"submitted job 4711; its output is {logs}/ferjax-4711.log" in done.stderr
    assert assert_dry_run_is_exact(fakes, SCRIPT, "--", AWKWARD, **variables) == [
        ["sbatch", "--parsable", "--job-name=ferjax", "--nodes=4", "--ntasks-per-node=1",
         "--gpus-per-node=8", "--time=08:00:00", "--signal=B:TERM@120", "--requeue",
         "--open-mode=append", f"--output={logs}/%x-%j.log", str(JOB), str(LAUNCH.parent), "10",
         "120", variables["VENV"] + "/bin/python", "-m", "ferjax.main",
         "--config=configs/cbam_island.py", "--workdir=/shared/my runs/a", "--distributed=slurm",
         AWKWARD],
    ]  # fmt: skip


def test_options_of_the_job(fakes, variables):
    options = {"TASKS_PER_NODE": "8", "CPUS_PER_TASK": "12", "PARTITION": "gpu", "ACCOUNT": "me"}
    fakes.run(SCRIPT, **variables, **options, GRACE_SECONDS="300", MAX_RESTARTS="2")
    [call] = fakes.calls()
    options = ["--ntasks-per-node=8", "--cpus-per-task=12", "--partition=gpu", "--account=me"]
    assert {*options, "--signal=B:TERM@300"} < set(call)
    assert call[call.index(str(JOB)) :][2:4] == ["2", "300"]


def test_it_installs_first_and_submits_nothing_if_that_fails(fakes, variables):
    variables["VENV"] = str(fakes.folder / "new")
    fakes.answer("python", "pip install", "exit 4")
    done = fakes.run(SCRIPT, **variables)
    assert done.returncode == 4
    assert [call[0] for call in fakes.calls()] == ["python3", "python"]
    assert not (fakes.folder / "new").exists()


def test_a_refused_submission_is_an_error(fakes, variables):
    fakes.answer("sbatch", "", "exit 1")
    done = fakes.run(SCRIPT, **variables)
    assert done.returncode == 1
    assert "submitted" not in done.stderr


def test_the_job_runs_the_command_once_per_task(fakes):
    done = run_job(fakes, SLURM_CPUS_PER_TASK="12")
    assert done.returncode == 0, done.stderr
    srun = ["srun", "--kill-on-bad-exit=0", "--wait=120", "--cpus-per-task=12"]
    assert fakes.calls() == [[*srun, *COMMAND]]


def test_exit_code_75_requeues_the_job(fakes):
    fakes.answer("srun", "", "echo out; echo err >&2; exit 75")
    done = run_job(fakes, SLURM_RESTART_COUNT="2")
    assert done.stdout == "out\n"
    assert "err\n" in done.stderr
    assert "restart 3 of 3" in done.stderr
    assert [call[0] for call in fakes.calls()] == ["srun", "squeue", "scontrol"]
    assert requeued(fakes)


def test_requeues_are_limited(fakes):
    fakes.answer("srun", "", "exit 75")
    done = run_job(fakes, SLURM_RESTART_COUNT="3")
    assert done.returncode == 75
    assert not requeued(fakes)
    assert "MAX_RESTARTS is reached" in done.stderr


@pytest.mark.parametrize("code", [1, 2, 70, 130, 137])
def test_no_other_exit_code_requeues(fakes, code):
    fakes.answer("srun", "", f"exit {code}")
    done = run_job(fakes)
    assert done.returncode == code
    assert not requeued(fakes)
    assert f"ferjax ended with exit code {code}" in done.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("srun: error: node1: task 1: Exited with exit code 70", 70),
        ("srun: error: node[1-2]: tasks 1-3: Exited with exit code 2", 2),
        ("srun: error: node1: task 1: Exited with exit code 75", 75),
        ("node1: Exited with exit code 70", 75),
    ],
)
def test_a_task_that_failed_for_good_is_not_hidden_by_others(fakes, line, code):
    fakes.answer("srun", "", f"echo '{line}' >&2; exit 75")
    done = run_job(fakes)
    assert (done.returncode, requeued(fakes)) == (code, code == 75)


def test_a_job_that_is_being_cancelled_is_not_requeued(fakes):
    fakes.answer("srun", "", "exit 75")
    done = run_job(fakes, state="COMPLETING")
    assert done.returncode == 75
    assert not requeued(fakes)


@pytest.mark.parametrize(("state", "told"), [("RUNNING", True), ("COMPLETING", False)])
def test_the_time_limit_lets_the_tasks_save_first(fakes, state, told):
    # srun itself gets no signal: it would kill the tasks. SLURM signals them, unless it did.
    saved = fakes.folder / "saved"
    fakes.answer("srun", "", f"trap 'echo killed; exit 137' TERM\n{UNTIL.format(saved)}\nexit 75")
    fakes.answer("scancel", "--signal=TERM 4711", f"touch {saved}")
    fakes.answer("squeue", "", f"echo {state}")
    arguments = [str(LAUNCH.parent), "3", "120", *COMMAND]
    process = fakes.start(JOB, *arguments, SLURM_JOB_ID="4711")
    fakes.wait_for("srun")
    process.send_signal(signal.SIGTERM)
    fakes.wait_for("squeue")
    if not told:
        saved.touch()
    done = fakes.finish(process)
    assert (done.returncode, done.stdout) == (75, "")
    assert (["scancel", "--signal=TERM", "4711"] in fakes.calls()) == told
    assert requeued(fakes) == told
