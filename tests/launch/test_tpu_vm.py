"""launch/tpu_vm.sh against a fake gcloud: order, quoting, restarts, preemption, cleanup."""

import os
import signal

import pytest

from tests.helpers.fake_programs import (
    AWKWARD,
    LAUNCH,
    UNTIL,
    Fakes,
    assert_dry_run_is_exact,
    split,
)

SCRIPT = LAUNCH / "tpu_vm.sh"
PLACE = ["--project=project", "--zone=us-west4-a"]
VARIABLES = {
    "NAME": "island",
    "PROJECT": "project",
    "ZONE": "us-west4-a",
    "ACCELERATOR_TYPE": "v5litepod-16",
    "RUNTIME_VERSION": "v2-alpha-tpuv5-lite",
    "CONFIG": "configs/cbam_island.py:loss=softmax",
    "WORKDIR": "gs://bucket/my island",
    "POLL_SECONDS": "0",
}
QUEUE = "compute tpus queued-resources"
STATE = "queued-resources describe"
NODE_STATE = "tpu-vm describe"
TRAIN = "tpu_worker.sh run"


@pytest.fixture
def fakes(tmp_path):
    """A slice that is there at once and trains without trouble, unless a test says otherwise."""
    fakes = Fakes(tmp_path, "gcloud")
    yield fakes
    fakes.close()


def healthy(fakes):
    fakes.answer("gcloud", STATE, "echo ACTIVE")
    fakes.answer("gcloud", NODE_STATE, "echo READY")


def steps(fakes):
    """What gcloud was asked, in words: list, create, state, install, run, fetch, delete, ..."""
    names = {
        f"{QUEUE} list": "list",
        f"{QUEUE} create": "create",
        f"{QUEUE} delete": "delete",
        STATE: "state",
        NODE_STATE: "node",
        "mkdir -p": "folder",
        "scp": "copy",
        "tpu_worker.sh install": "install",
        TRAIN: "run",
        "tpu_worker.sh stop": "stop",
        "storage rsync": "fetch",
    }
    return [
        next(name for key, name in names.items() if key in " ".join(call)) for call in fakes.calls()
    ]


BRING_UP = ["create", "state", "folder", "copy", "install"]


def test_the_whole_course_and_its_dry_run(fakes):
    healthy(fakes)
    done = fakes.run(SCRIPT, "--", AWKWARD, **VARIABLES)
    assert done.returncode == 0, done.stderr
    assert steps(fakes) == ["list", *BRING_UP, "run", "fetch", "delete"]
    calls = assert_dry_run_is_exact(fakes, SCRIPT, "--", AWKWARD, **VARIABLES)
    queue = ["gcloud", *QUEUE.split()]
    assert calls[1] == [
        *queue, "create", "island", *PLACE, "--node-id=island", "--accelerator-type=v5litepod-16",
        "--runtime-version=v2-alpha-tpuv5-lite", "--spot",
    ]  # fmt: skip
    assert calls[2] == [*queue, "describe", "island", *PLACE, "--format=value(state.state)"]
    workers = ["gcloud", "compute", "tpus", "tpu-vm", "ssh", "island", *PLACE, "--worker=all"]
    assert calls[3] == [*workers, "--command=mkdir -p ferjax"]
    assert calls[4][5] == str(LAUNCH.parent / "pyproject.toml")
    assert calls[4][-5:] == ["island:ferjax", *PLACE, "--worker=all", "--recurse"]
    assert calls[5] == [*workers, "--command=bash ferjax/launch/tpu_worker.sh install 3.11"]
    assert calls[6][:-1] == workers
    assert calls[7][:3] == ["gcloud", "storage", "rsync"]
    assert calls[7][3:] == ["--recursive", "gs://bucket/my island", "results/island/workdir"]
    assert calls[8] == [*queue, "delete", "island", *PLACE, "--force", "--quiet"]


def test_a_worker_gets_the_words_that_were_given(fakes):
    healthy(fakes)
    data = {"DATA_DIR": "gs://bucket/da ta", "COMPILATION_CACHE": "gs://bucket/cache"}
    fakes.run(SCRIPT, "--", AWKWARD, **(VARIABLES | data))
    command = next(call[-1] for call in fakes.calls() if TRAIN in call[-1])
    [words] = split(command.removeprefix("--command=") + "\n")
    assert words == [
        "bash", "ferjax/launch/tpu_worker.sh", "run", "120", "-m", "ferjax.main",
        "--config=configs/cbam_island.py:loss=softmax", "--workdir=gs://bucket/my island",
        "--distributed=tpu", "--config.dataset.data_dir=gs://bucket/da ta",
        "--config.compilation_cache=gs://bucket/cache", AWKWARD,
    ]  # fmt: skip


def test_the_files_that_are_copied_exist(fakes):
    healthy(fakes)
    fakes.run(SCRIPT, **VARIABLES)
    copied = next(call for call in fakes.calls() if "scp" in call)[5:-5]
    names = {path.removeprefix(f"{LAUNCH.parent}/") for path in copied}
    assert {"pyproject.toml", "README.md", "LICENSE", "ferjax", "configs", "launch"} < names
    assert all((LAUNCH.parent / name).exists() for name in names)


def test_options_of_the_request(fakes):
    healthy(fakes)
    options = {"SPOT": "0", "VALID_FOR": "6h", "SERVICE_ACCOUNT": "me@project"}
    fakes.run(SCRIPT, **(VARIABLES | options))
    request = next(call for call in fakes.calls() if "create" in call)
    assert request[-2:] == ["--valid-until-duration=6h", "--service-account=me@project"]
    assert "--spot" not in request


def test_it_waits_until_the_slice_is_active(fakes):
    states = ["echo WAITING_FOR_RESOURCES", "exit 1", "echo PROVISIONING", "echo ACTIVE"]
    fakes.answer("gcloud", STATE, *states)
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 0
    assert steps(fakes)[:7] == ["list", "create", *["state"] * 4, "folder"]
    assert "WAITING_FOR_RESOURCES" in done.stderr
    assert "state unknown" in done.stderr


def test_exit_code_75_restarts_on_the_same_slice(fakes):
    healthy(fakes)
    fakes.answer("gcloud", TRAIN, "exit 75", "exit 75", "exit 0")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 0
    again = ["state", "node", "run"]
    assert steps(fakes) == ["list", *BRING_UP, "run", *again, *again, "fetch", "delete"]
    assert "restart 2 of 10" in done.stderr


def test_restarts_are_limited(fakes):
    healthy(fakes)
    fakes.answer("gcloud", TRAIN, "exit 75")
    done = fakes.run(SCRIPT, **VARIABLES, MAX_RESTARTS="2")
    assert done.returncode == 75
    assert steps(fakes).count("run") == 3
    assert steps(fakes)[-1] == "delete"
    assert "MAX_RESTARTS is reached" in done.stderr


@pytest.mark.parametrize("code", [1, 2, 70, 130, 137])
def test_no_other_exit_code_restarts(fakes, code):
    healthy(fakes)
    fakes.answer("gcloud", TRAIN, f"exit {code}")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == code
    assert steps(fakes) == ["list", *BRING_UP, "run", "state", "node", "delete"]


def test_a_worker_that_failed_for_good_is_not_hidden_by_others(fakes):
    healthy(fakes)
    lines = [f"echo '[{n}] launch: worker exit code {c}'" for n, c in enumerate((75, 70, 75))]
    fakes.answer("gcloud", TRAIN, "\n".join([*lines, "exit 75"]))
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 70
    assert steps(fakes).count("run") == 1
    log = (fakes.folder / "results" / "island" / "attempt_1.log").read_text()
    assert "[1] launch: worker exit code 70" in log
    assert log in done.stdout


def test_a_lost_connection_starts_again(fakes):
    healthy(fakes)
    fakes.answer("gcloud", TRAIN, "exit 255", "exit 0")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 0
    assert steps(fakes) == ["list", *BRING_UP, "run", "state", "node", "run", "fetch", "delete"]


@pytest.mark.parametrize("code", [75, 255, 137])
@pytest.mark.parametrize("seen_by", [STATE, NODE_STATE])
def test_a_preempted_slice_is_made_anew(fakes, code, seen_by):
    if seen_by == STATE:
        fakes.answer("gcloud", STATE, "echo ACTIVE", "echo SUSPENDED", "echo ACTIVE")
    else:
        fakes.answer("gcloud", STATE, "echo ACTIVE")
        fakes.answer("gcloud", NODE_STATE, "echo PREEMPTED")
    fakes.answer("gcloud", TRAIN, f"exit {code}", "exit 0")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 0, done.stderr
    looks = ["state"] if seen_by == STATE else ["state", "node"]
    assert steps(fakes) == [
        "list", *BRING_UP, "run", *looks, "delete", *BRING_UP, "run", "fetch", "delete",
    ]  # fmt: skip


def test_a_slice_preempted_during_the_installation_is_made_anew(fakes):
    fakes.answer("gcloud", STATE, "echo ACTIVE", "echo SUSPENDING", "echo ACTIVE")
    fakes.answer("gcloud", "tpu_worker.sh install", "exit 255", "exit 0")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 0, done.stderr
    assert steps(fakes).count("create") == 2


@pytest.mark.parametrize(
    ("phase", "course"),
    [
        (f"{QUEUE} create", ["create"]),
        ("mkdir -p", BRING_UP[:3]),
        ("scp", BRING_UP[:4]),
        ("tpu_worker.sh install", BRING_UP),
        (TRAIN, [*BRING_UP, "run"]),
    ],
)
def test_a_failure_in_any_phase_deletes_what_was_made(fakes, phase, course):
    healthy(fakes)
    fakes.answer("gcloud", phase, "exit 9")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 9
    assert steps(fakes) == ["list", *course, "state", "node", "delete"]


def test_a_failed_fetch_deletes_what_was_made(fakes):
    healthy(fakes)
    fakes.answer("gcloud", "storage rsync", "exit 9")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 9
    assert steps(fakes)[-2:] == ["fetch", "delete"]


@pytest.mark.parametrize("state", ["FAILED", "SUSPENDED"])
def test_a_request_that_fails_ends_it(fakes, state):
    fakes.answer("gcloud", STATE, f"echo {state}")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 1
    assert f"queued resource island is {state}" in done.stderr
    assert steps(fakes) == ["list", "create", "state", "state", "delete"]


def test_a_state_that_cannot_be_read_ends_it(fakes):
    fakes.answer("gcloud", STATE, "exit 1")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 1
    assert "could not be read five times in a row" in done.stderr
    assert steps(fakes)[-1] == "delete"


def test_what_somebody_else_made_is_left_alone(fakes):
    fakes.answer("gcloud", f"{QUEUE} list", "echo island")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == 2
    assert "a queued resource of that name exists" in done.stderr
    assert steps(fakes) == ["list"]


def test_keep_leaves_the_slice_and_says_how_to_delete_it(fakes):
    healthy(fakes)
    done = fakes.run(SCRIPT, **VARIABLES, KEEP="1")
    assert done.returncode == 0
    assert "delete" not in steps(fakes)
    assert f"gcloud {QUEUE} delete island {' '.join(PLACE)} --force --quiet" in done.stderr


@pytest.mark.parametrize(("still_there", "code"), [("echo island", 1), ("exit 1", 1), ("true", 0)])
def test_a_failed_deletion_is_shouted_about(fakes, still_there, code):
    healthy(fakes)
    fakes.answer("gcloud", f"{QUEUE} list", "true", still_there)
    fakes.answer("gcloud", f"{QUEUE} delete", "exit 1")
    done = fakes.run(SCRIPT, **VARIABLES)
    assert done.returncode == code
    assert ("COULD NOT BE DELETED" in done.stderr) == bool(code)


@pytest.mark.parametrize("keep", ["0", "1"])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_workers_save_and_deletes(fakes, keep, send, number):
    healthy(fakes)
    stopped = fakes.folder / "stopped"
    fakes.answer("gcloud", TRAIN, f"{UNTIL.format(stopped)}; exit 75")
    fakes.answer("gcloud", "tpu_worker.sh stop", f"touch {stopped}")
    process = fakes.start(SCRIPT, **VARIABLES, KEEP=keep)
    fakes.wait_for(TRAIN)
    send(process.pid, number)
    done = fakes.finish(process)
    assert done.returncode == 128 + number
    # The connection stays while the workers save, so that what they say of it is seen.
    assert done.stdout.endswith("launch: gcloud exit code 75\n")
    assert steps(fakes) == ["list", *BRING_UP, "run", "stop", *(["delete"] if keep == "0" else [])]
