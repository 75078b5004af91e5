"""launch/smoke.sh against a fake Python: its steps, a step that fails, a machine without a chip."""

import json
import shlex
import sys

import pytest

from tests.helpers.fake_programs import LAUNCH, Fakes

SCRIPT = LAUNCH / "smoke.sh"


@pytest.fixture
def fakes(tmp_path):
    fakes = Fakes(tmp_path, "python3")
    fakes.answer("python3", "-c", "echo tpu")
    yield fakes
    fakes.close()


@pytest.fixture
def log(fakes):
    return fakes.folder / "my log"


def modules(fakes):
    return [call[2] for call in fakes.calls() if call[1] == "-m"]


def test_all_steps_on_the_platform_that_is_there(fakes, log):
    fakes.answer("python3", "-m", f'echo "on $JAX_PLATFORMS" >> {fakes.folder}/platforms')
    done = fakes.run(SCRIPT, LOG=str(log), BATCH="64")
    assert done.returncode == 0, done.stdout
    assert modules(fakes) == ["pytest", "ferjax.main", "ferjax.benchmark"]
    assert (fakes.folder / "platforms").read_text().split("\n")[:-1] == ["on tpu"] * 3
    assert "--config.train.batch_size=64" in fakes.calls()[-1]
    written = log.read_text()
    assert "all steps passed" in written and "Please send that file" in written


@pytest.mark.parametrize(("accuracy", "code"), [(0.9, 0), (0.2, 1)])
def test_a_training_that_has_not_learned_is_a_failure(fakes, log, accuracy, code):
    result = json.dumps({"selection": {"accuracy": accuracy}})
    fakes.answer(
        "python3",
        "ferjax.main",
        f"folder=${{!#}}; folder=${{folder#--workdir=}}; mkdir -p $folder; "
        f"echo {shlex.quote(result)} > $folder/result.json",
    )
    fakes.answer("python3", "accuracy", f'exec {shlex.quote(sys.executable)} "$@"')
    done = fakes.run(SCRIPT, LOG=str(log))
    assert done.returncode == code, done.stdout
    assert ("failed: learned" in log.read_text()) == bool(code)
    assert f"validation accuracy {accuracy:.3f}" in log.read_text()


def test_a_step_that_fails_is_named_and_the_next_follow(fakes, log):
    fakes.answer("python3", "pytest", "echo wrong value; exit 1")
    done = fakes.run(SCRIPT, LOG=str(log))
    assert done.returncode == 1
    assert modules(fakes) == ["pytest", "ferjax.main", "ferjax.benchmark"]
    assert "wrong value" in log.read_text() and "failed: values" in log.read_text()


@pytest.mark.parametrize("answer", ["echo cpu", "echo broken >&2; exit 3"])
def test_without_an_accelerator_nothing_runs(fakes, log, answer):
    fakes.answer("python3", "-c", answer)
    done = fakes.run(SCRIPT, LOG=str(log))
    assert done.returncode == 2 and modules(fakes) == []
    assert "no TPU or GPU is found" in log.read_text()


def test_a_dry_run_calls_nothing(fakes, log):
    done = fakes.run(SCRIPT, "--dry_run", LOG=str(log))
    assert (done.returncode, fakes.calls()) == (0, []) and not log.exists()
    for module in ("pytest", "ferjax.main", "ferjax.benchmark"):
        assert f"-m {module}" in done.stdout
