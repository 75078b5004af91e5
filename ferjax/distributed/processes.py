"""Several processes as one run: how they find each other, agree, and leave together.

JAX's own runtime connects them; every process runs the same program on its own devices and reads
its own part of each batch. Process 0, the main one, writes the files of the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from ferjax import interrupts
from ferjax.distributed import sharding
from ferjax.distributed.cluster import Place
from ferjax.distributed.liveness import Peers
from ferjax.errors import Interrupted, SaveFailed, UserError, explain

# After this time without a heartbeat JAX considers a process dead, and aborts the others. If only
# the process died and not its machine, `liveness` notices at once.
_HEARTBEAT_SECONDS = 25
# Counts the questions of `stop_agreed`, over all runs of the process.
_QUESTIONS = itertools.count(1)
# An abort waits this long: in this time `liveness` learns of a dead process, if there is one.
_ABORT_SECONDS = 5.0
_WAIT = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: time.sleep(_ABORT_SECONDS))


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
    interrupts.unwatch()
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
        _connect_devices()
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
    """Refuses processes with different values of something that must be the same for all.

    Raises:
      UserError: `text` differs between this process and process 0; `title` names it.
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
    """The text of process 0, on every process."""
    return text if jax.process_count() == 1 else _broadcast_bytes(text.encode()).decode()


def _leave_at_once(error: BaseException, peers: Peers | None = None) -> NoReturn:
    """Explains the error, tells the others, and exits.

    Not by way of JAX's exit handler, which waits for processes that may be gone.
    """
    code = explain(error)
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


def _connect_devices() -> None:
    """Connects the devices of all processes with each other, while all processes are here.

    The first collective of a set of devices connects them. On CPUs it fails if one process comes 30
    seconds after another, which may take that much longer to compile its first step. Later ones
    wait.
    """
    mesh = sharding.make_mesh()
    ones = sharding.shard_batch(np.ones(jax.local_device_count(), np.float32), mesh)
    jax.jit(jnp.sum, out_shardings=sharding.replicated(mesh))(ones).block_until_ready()


def _delay_abort() -> None:
    """Gives `liveness` time to say why, before an abort of JAX's runtime ends the process.

    The runtime aborts as soon as process 0 is gone, with a code that no launcher restarts on, and
    has no way to be told otherwise. A handler of Python's own would not run before the abort.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGABRT, ctypes.cast(_WAIT, ctypes.c_void_p))


def _broadcast_bytes(message: bytes) -> bytes:
    """The message of process 0, on every process."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(message))))
    buffer = np.zeros(size, np.uint8)
    if is_main():
        buffer[:] = np.frombuffer(message, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes()
