"""What all recipes share: shellcheck, --help, refusals, and no secrets or hosts in them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.fake_programs import LAUNCH, Fakes

GOOD = {
    "tpu_vm.sh": {
        "NAME": "island",
        "PROJECT": "project",
        "ZONE": "us-west4-a",
        "ACCELERATOR_TYPE": "v5litepod-16",
        "RUNTIME_VERSION": "v2-alpha-tpuv5-lite",
        "CONFIG": "configs/cbam_island.py",
        "WORKDIR": "gs://bucket/island",
    },
    "gke_jobset.sh": {
        "NAME": "island",
        "PROJECT": "project",
        "LOCATION": "us-west4",
        "CLUSTER": "cluster",
        "IMAGE": "image:tag",
        "ACCELERATOR": "nvidia-h100-80gb",
        "NODES": "2",
        "CHIPS_PER_NODE": "8",
        "CONFIG": "configs/cbam_island.py",
        "WORKDIR": "gs://bucket/island",
    },
    "slurm.sh": {
        "NODES": "2",
        "GPUS_PER_NODE": "8",
        "TIME": "08:00:00",
        "CONFIG": "configs/cbam_island.py",
        "WORKDIR": "/shared/island",
    },
    "gpu_box.sh": {"CONFIG": "configs/cbam_island.py", "WORKDIR": "runs/island"},
}
RECIPES = sorted(GOOD)


@pytest.fixture
def fakes(tmp_path):
    fakes = Fakes(tmp_path, "gcloud kubectl docker sbatch srun scontrol squeue scancel python3")
    yield fakes
    fakes.close()


def test_shellcheck_finds_nothing(repository):
    program = Path(sys.executable).with_name("shellcheck")
    scripts = sorted(repository.glob("launch/*.sh"))
    assert len(scripts) == 8
    done = subprocess.run(
        [program, "--external-sources", *scripts, *repository.glob(".ci/*")],
        cwd=repository, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_help_names_every_variable_and_runs_nothing(fakes, recipe):
    done = fakes.run(LAUNCH / recipe, "--help")
    assert (done.returncode, done.stderr, fakes.calls()) == (0, "", [])
    source = (LAUNCH / recipe).read_text()
    shown = dict(re.findall(r"^  ([A-Z_]+) +(.*)$", done.stdout, re.MULTILINE))
    declared = re.findall(r"^(?:required|optional|number|switch) ([A-Z_]+)", source, re.MULTILINE)
    shared = ["CONFIG", "WORKDIR", "DATA_DIR", "COMPILATION_CACHE", "MAX_RESTARTS"]
    assert list(shown) == [*shared, *declared]
    required = {name for name, text in shown.items() if text.endswith("[required]")}
    assert required == set(GOOD[recipe])
    assert f"launch/{recipe} [--dry_run]" in done.stdout


@pytest.mark.parametrize(
    ("recipe", "name"), [(recipe, name) for recipe in RECIPES for name in GOOD[recipe]]
)
def test_a_missing_variable_is_refused_by_name(fakes, recipe, name):
    variables = {key: value for key, value in GOOD[recipe].items() if key != name}
    done = fakes.run(LAUNCH / recipe, **variables)
    assert (done.returncode, done.stdout, fakes.calls()) == (2, "", [])
    assert done.stderr.startswith(f"error: {name} is not set (")
    assert f"as {name}=... {LAUNCH / recipe}" in done.stderr


@pytest.mark.parametrize(
    ("recipe", "change", "message"),
    [
        ("tpu_vm.sh", {"SPOT": "yes"}, "SPOT is 'yes' where 0 or 1 is expected"),
        ("slurm.sh", {"NODES": "two"}, "NODES is 'two' where a whole number is expected"),
        ("gpu_box.sh", {"MAX_RESTARTS": "-1"}, "MAX_RESTARTS is '-1' where a whole number"),
        ("tpu_vm.sh", {"WORKDIR": "runs/a"}, "WORKDIR is 'runs/a' where a gs:// folder is"),
        ("gke_jobset.sh", {"WORKDIR": "runs/a"}, "WORKDIR is 'runs/a' where a gs:// folder is"),
        ("tpu_vm.sh", {"NAME": "My Run"}, "NAME is 'My Run' where at most 40 lower-case letters"),
        ("gke_jobset.sh", {"NAME": "a" * 41}, "where at most 40 lower-case letters"),
        ("gke_jobset.sh", {"ACCELERATOR": "h100"}, "ACCELERATOR is 'h100' where tpu... or nvidia"),
        ("gke_jobset.sh", {"ACCELERATOR": "tpu-v6e-slice"}, "TOPOLOGY is not set"),
        ("gke_jobset.sh", {"NODE_POOL": "pool"}, "MACHINE_TYPE is not set"),
        ("slurm.sh", {"TASKS_PER_NODE": "3"}, "TASKS_PER_NODE is 3 where 1 or GPUS_PER_NODE (8)"),
    ],
)
def test_a_malformed_variable_is_refused(fakes, recipe, change, message):
    done = fakes.run(LAUNCH / recipe, **(GOOD[recipe] | change))
    assert (done.returncode, done.stdout, fakes.calls()) == (2, "", [])
    assert message in done.stderr


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_unknown_argument_is_refused(fakes, recipe):
    done = fakes.run(LAUNCH / recipe, "--dry-run", **GOOD[recipe])
    assert (done.returncode, done.stdout, fakes.calls()) == (2, "", [])
    assert done.stderr.startswith("error: unknown argument --dry-run: there are --dry_run and")


def test_the_commands_of_the_page_are_accepted(fakes):
    blocks = re.findall(r"```\n(.*?)```", (LAUNCH / "README.md").read_text(), re.DOTALL)
    commands = [command.strip() for block in blocks for command in block.split("\n\n")]
    assert {re.search(r"launch/(\S+)", command)[1] for command in commands} == set(RECIPES)
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", f"{command} --dry_run"],
            cwd=LAUNCH.parent, env=fakes.environment(), capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr, fakes.calls()) == (0, "", [])


def test_the_recipes_hold_no_secret():
    for path in set(LAUNCH.iterdir()) - {LAUNCH / "README.md"}:
        text = path.read_text()
        assert not re.search(r"(?i)password|secret|api_?key|token|private key", text), path
