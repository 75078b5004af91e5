"""How a process learns where it stands among the others."""

import pytest

from ferjax.distributed import cluster
from ferjax.distributed.cluster import Place, place
from ferjax.errors import UserError

SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
}
KUBERNETES = {
    "JAX_COORDINATOR_ADDRESS": "run-workers-0-0.run:8476",
    "JAX_NUM_PROCESSES": "4",
    "JOB_COMPLETION_INDEX": "3",
}
GKE_TPU = {"TPU_WORKER_ID": "1", "TPU_WORKER_HOSTNAMES": "a,b"}


@pytest.fixture(autouse=True)
def no_chips(monkeypatch):
    monkeypatch.setattr(cluster, "_on_cloud_tpu", lambda: False)


@pytest.mark.parametrize(
    ("mode", "environment", "expected"),
    [
        ("off", {**SLURM, **KUBERNETES}, None),
        ("auto", SLURM, Place(method="slurm")),
        ("auto", KUBERNETES, Place("run-workers-0-0.run:8476", 4, 3)),
        ("auto", GKE_TPU, Place()),
        ("slurm", SLURM, Place(method="slurm")),
        (
            "slurm",  # one task on each of two nodes with four GPUs
            {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_GPUS_ON_NODE": "4"},
            Place(method="slurm", devices=(0, 1, 2, 3)),
        ),
        (
            "slurm",  # four tasks on each
            {**SLURM, "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_GPUS_ON_NODE": "4"},
            Place(method="slurm"),
        ),
        ("kubernetes", KUBERNETES, Place("run-workers-0-0.run:8476", 4, 3)),
        ("tpu", {}, Place()),
    ],
)
def test_where_it_is_read_from(mode, environment, expected):
    assert place(mode, environment=environment) == expected


def test_chips_of_a_cloud_tpu_are_found_without_variables(monkeypatch):
    monkeypatch.setattr(cluster, "_on_cloud_tpu", lambda: True)
    assert place("auto", environment={}) == Place()


def test_flags_say_it_all():
    given = {"coordinator": "10.0.0.1:8476", "num_processes": 2, "process_id": 1}
    assert place("flags", environment={}, **given) == Place("10.0.0.1:8476", 2, 1)


@pytest.mark.parametrize(
    ("mode", "flags", "environment", "message"),
    [
        ("on", {}, {}, "--distributed is 'on'; expected one of off, auto, tpu"),
        ("slrum", {}, {}, r"Did you mean 'slurm'\?"),
        ("auto", {}, {}, "found neither a Cloud TPU nor the variables of SLURM"),
        ("slurm", {}, {"SLURM_JOB_ID": "7"}, "needs the variables SLURM_STEP_NODELIST, SLURM_NT"),
        ("kubernetes", {}, {}, "needs the variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"),
        ("flags", {"coordinator": "a:1"}, {}, "needs --num_processes, --process_id too"),
        ("off", {"process_id": 0}, {}, "--process_id needs --distributed=flags, and it is off"),
        (
            "flags",
            {"coordinator": "a", "num_processes": 2, "process_id": 0},
            {},
            "coordinator is 'a'; expected HOST:PORT",
        ),
        (
            "flags",
            {"coordinator": "a:1", "num_processes": 2, "process_id": 2},
            {},
            "Process 2 of 2: processes count from 0",
        ),
        (
            "kubernetes",
            {},
            {**KUBERNETES, "JOB_COMPLETION_INDEX": "x"},
            "JOB_COMPLETION_INDEX is 'x'; expected a whole number",
        ),
    ],
)
def test_what_does_not_fit_is_refused(mode, flags, environment, message):
    with pytest.raises(UserError, match=message):
        place(mode, environment=environment, **flags)
