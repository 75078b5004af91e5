"""Several processes as one run: how they find each other, agree, and leave together.

JAX's own runtime connects them; every process runs the same program on its own devices and reads
its own part of each batch. Process 0, the main one, writes the files of the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, NoReturn

import jax
import numpy as np
from jax.experimental import multihost_utils

from ferjax import command
from ferjax.errors import Interrupted, SaveFailed, UserError, nearest
from ferjax.peers import Peers

MODES = ("off", "auto", "tpu", "slurm", "kubernetes", "flags")

# A process that is silent for this long is taken for dead by JAX, which then aborts the others.
# Where only the process died and not its machine, `peers` notices at once.
_HEARTBEAT_SECONDS = 25
# Counts the questions of `stop_agreed`, over all runs of the process.
_QUESTIONS = itertools.count(1)
# What an abort does first: in this time `peers` hears of a death, if there was one.
_ABORT_SECONDS = 5.0
_WAIT = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: time.sleep(_ABORT_SECONDS))
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
    """What JAX needs to be told to join the others; None where it finds that out by itself.

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
    """Where this process stands among the others; None for a run of one process.

    Args:
      mode: one of `MODES`. "auto" takes Kubernetes, SLURM or a Cloud TPU, whichever the environment
        speaks of, in this order.
      coordinator: HOST:PORT of process 0, for "flags".
      num_processes: likewise.
      process_id: likewise.
      environment: variables of the process.

    Raises:
      UserError: an unknown mode, or one whose flags or variables are missing or wrong.
    """
    if mode not in MODES:
        raise UserError(
            f"--distributed is {mode!r}; expected one of {', '.join(MODES)}." + nearest(mode, MODES)
        )
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


@contextlib.contextmanager
def joined(where: Place | None) -> Iterator[None]:
    """Joins the other processes for the time of the block; before any device is used.

    Whatever ends the block ends it for all: an error of one process is told to the others, which
    exit with the same code, and the death of one makes the others exit with 75.

    Raises:
      UserError: the others cannot be reached.
    """
    if where is None:
        yield
        return
    _initialize(where)
    _delay_abort()
    try:
        host = None if where.coordinator is None else where.coordinator.rpartition(":")[0]
        peers = Peers(jax.process_index(), jax.process_count(), _broadcast_bytes, host)
    except OSError as error:
        _leave_at_once(
            UserError(
                f"The processes found each other, but process {jax.process_index()} and process 0 "
                f"cannot talk: {error}. Let them reach each other on every TCP port."
            )
        )
    try:
        yield
    except BaseException as error:
        expected = isinstance(error, UserError | Interrupted | KeyboardInterrupt)
        if isinstance(error, SaveFailed) or not expected:
            # A collective or a save that lost its partner fails before anybody knows why.
            peers.wait_for_a_death()
        _leave_at_once(error, peers)
    peers.leave(0)
    jax.distributed.shutdown()


def is_main() -> bool:
    """Whether this is the process that writes the files of the run."""
    return jax.process_index() == 0


def wait_for_all(name: str) -> None:
    """Returns when every process has come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def check_equal(title: str, text: str) -> None:
    """Refuses processes that differ in what must be the same for all.

    Raises:
      UserError: `text` is another one on this process than on process 0; `title` names it.
    """
    main = broadcast(text)
    if main != text:
        raise UserError(
            f"{title} is {text!r} on process {jax.process_index()} and {main!r} on process 0; "
            "every process needs the same."
        )


def hears_sigterm() -> bool:
    """Whether JAX's runtime listens for SIGTERM, and `stop_agreed` knows of it."""
    return jax.distributed.is_initialized()


def stop_agreed() -> bool:
    """Whether all processes stop here, because one of them was sent SIGTERM.

    All must ask equally often. JAX's runtime chooses, at the first signal, the number of a question
    that none has asked yet; so questions are counted without a break, also from one run to the next
    and where a run begins in the middle.
    """
    return hears_sigterm() and multihost_utils.reached_preemption_sync_point(next(_QUESTIONS))


def broadcast(text: str) -> str:
    """What process 0 passes, on every process."""
    return text if jax.process_count() == 1 else _broadcast_bytes(text.encode()).decode()


def _leave_at_once(error: BaseException, peers: Peers | None = None) -> NoReturn:
    """Explains the error, tells the others, and exits.

    Not by way of JAX's exit handler, which waits for processes that may be gone.
    """
    code = command.explain(error)
    if peers is not None:
        peers.leave(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _initialize(where: Place) -> None:
    found = "" if where.coordinator is None else f" at {where.coordinator}"
    try:
        jax.distributed.initialize(
            where.coordinator,
            where.num_processes,
            where.process_id,
            cluster_detection_method=where.method if where.coordinator is None else "deactivate",
            local_device_ids=where.devices,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"The other processes cannot be joined{found}: {line}. Start all of them within five "
            "minutes, with the same number of processes, and let them reach process 0."
        ) from None


def _delay_abort() -> None:
    """Gives `peers` time to say why, before an abort of JAX's runtime ends the process.

    The runtime aborts as soon as process 0 is gone, with a code that no launcher restarts on, and
    has no way to be told otherwise. A handler of Python's own would not run before the abort.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGABRT, ctypes.cast(_WAIT, ctypes.c_void_p))


def _broadcast_bytes(message: bytes) -> bytes:
    """What process 0 says, on every process."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(message))))
    buffer = np.zeros(size, np.uint8)
    if is_main():
        buffer[:] = np.frombuffer(message, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()


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
    if not host or not port.isdigit():
        raise UserError(f"The coordinator is {coordinator!r}; expected HOST:PORT of process 0.")
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
