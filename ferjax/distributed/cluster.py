"""The place of a process among the others, from flags or the environment of a cluster.

Cloud TPU, SLURM and Kubernetes are known; nothing is connected here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from ferjax.errors import UserError, one_of

MODES = ("off", "auto", "tpu", "slurm", "kubernetes", "flags")

_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_STEP_NODELIST",
    "SLURM_NTASKS",
    "SLURM_PROCID",
    "SLURM_LOCALID",
)

_KUBERNETES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JOB_COMPLETION_INDEX")

_TPU = ("TPU_WORKER_ID", "TPU_WORKER_HOSTNAMES")


class Place(NamedTuple):
    """What JAX needs to join the processes; None if it finds a value by itself.

    Attributes:
      coordinator: HOST:PORT of process 0.
      num_processes: how many there are.
      process_id: number of this one, from 0.
      method: the name of JAX's own way to find the rest.
      devices: the devices of its machine that this process uses.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    method: str | None = None
    devices: tuple[int, ...] | None = None


def place(
    mode: str,
    *,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Place | None:
    """The place of this process among the others; None for a run of one process.

    Args:
      mode: one of `MODES`. "auto" takes the first of Kubernetes, SLURM and Cloud TPU that the
        environment shows.
      coordinator: HOST:PORT of process 0, for "flags".
      num_processes: likewise.
      process_id: likewise.
      environment: variables of the process.

    Raises:
      UserError: an unknown mode, or one whose flags or variables are missing or wrong.
    """
    one_of("--distributed", mode, MODES)
    flags = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    given = [name for name, value in flags.items() if value is not None]
    if mode != "flags" and given:
        raise UserError(
            f"{given[0]} needs --distributed=flags, and it is {mode}; leave {given[0]} out, or "
            "give all of " + ", ".join(flags) + "."
        )
    if mode == "off":
        return None
    if mode == "auto":
        mode = _found(environment)
    if mode == "slurm":
        _require(_SLURM, "slurm", environment, "Start it with srun, inside of sbatch or salloc.")
        return Place(method="slurm", devices=_slurm_devices(environment))
    if mode == "tpu":
        return Place()
    if mode == "kubernetes":
        hint = "launch/gke_jobset.sh sets the first two; an Indexed Job sets the third."
        _require(_KUBERNETES, "kubernetes", environment, hint)
        address, *numbers = (environment[name] for name in _KUBERNETES)
        return _checked(
            address, *(_whole(*pair) for pair in zip(_KUBERNETES[1:], numbers, strict=True))
        )
    missing = [name for name, value in flags.items() if value is None]
    if missing:
        raise UserError(f"--distributed=flags needs {', '.join(missing)} too.")
    assert coordinator is not None and num_processes is not None and process_id is not None
    return _checked(coordinator, num_processes, process_id)


def _found(environment: Mapping[str, str]) -> str:
    for mode, names in (("kubernetes", _KUBERNETES), ("slurm", _SLURM), ("tpu", _TPU)):
        if all(name in environment for name in names):
            return mode
    if _on_cloud_tpu():
        return "tpu"
    raise UserError(
        "--distributed=auto found neither a Cloud TPU nor the variables of SLURM "
        f"({', '.join(_SLURM)}) or Kubernetes ({', '.join(_KUBERNETES)}). Leave it out for one "
        "process, or name all with --distributed=flags."
    )


def _slurm_devices(environment: Mapping[str, str]) -> tuple[int, ...] | None:
    """All GPUs of the node where it has one task; else JAX gives each task its own."""
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
    gpus = environment.get("SLURM_GPUS_ON_NODE", "")
    alone = re.fullmatch(r"1(\(x\d+\))?", tasks)  # "1", or "1(x4)" on four nodes
    return tuple(range(int(gpus))) if alone and gpus.isdigit() else None


def _on_cloud_tpu() -> bool:
    """Whether this machine has TPU chips: their device files."""
    return os.path.exists("/dev/accel0") or os.path.exists("/dev/vfio/0")


def _require(names: tuple[str, ...], mode: str, environment: Mapping[str, str], hint: str) -> None:
    missing = [name for name in names if name not in environment]
    if missing:
        raise UserError(f"--distributed={mode} needs the variables {', '.join(missing)}. {hint}")


def _checked(coordinator: str, num_processes: int, process_id: int) -> Place:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port[:9]) <= 65535:
        raise UserError(
            f"The coordinator is {coordinator!r}; expected HOST:PORT of process 0, the port from 1 "
            "to 65535."
        )
    if num_processes < 1 or not 0 <= process_id < num_processes:
        raise UserError(
            f"Process {process_id} of {num_processes}: processes count from 0 to one less than "
            "their number."
        )
    return Place(coordinator, num_processes, process_id)


def _whole(name: str, text: str) -> int:
    if not text.isdigit():
        raise UserError(f"{name} is {text!r}; expected a whole number.")
    return int(text)
