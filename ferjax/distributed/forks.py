"""Processes that were forked after JAX had started, where every computation would wait for ever.

A fork copies the memory of a process and none of the threads that JAX computes with.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading

_LOCK = type(threading.Lock())
_orphaned = False
_asked = False


def check() -> None:
    """To be called before a device is looked for or used.

    Raises:
      UserError: this process, or one that it descends from by forks, was forked after JAX had
        started there.
    """
    global _asked
    if not _orphaned:
        _asked = True
        return
    from ferjax.errors import UserError

    raise UserError(
        "This process was forked after JAX had started in its parent, and a fork does not copy the "
        "threads that JAX computes with. Load the model in each worker and use no JAX in the "
        "parent before the fork; or start the workers by spawn, as "
        "multiprocessing.get_context('spawn') does, and load the model there."
    )


def _after_fork() -> None:
    global _orphaned
    if _jax_has_started():
        _orphaned = True
        atexit.register(_keep_what_waits)


def _jax_has_started() -> bool:
    """Takes no lock: its holder may be a thread that the fork did not copy.

    JAX has no public name for this: what tells it starts JAX, or takes a lock. Should the names
    change, what ferjax itself has asked for still tells.
    """
    names = getattr(sys.modules.get("jax._src.xla_bridge"), "__dict__", {})
    starting = any(one.locked() for one in names.values() if isinstance(one, _LOCK))
    return starting or bool(names.get("_backends", _asked))


def _keep_what_waits() -> None:
    """Lets the process end: the end of a backend, or of a pool of threads, waits for threads.

    So nothing that a module of JAX holds is destroyed, and no destructor of a library runs.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("jax", "jaxlib"):
            for held in list(getattr(module, "__dict__", {}).values()):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # of glibc: leaves at once, with the exit code
        libc.on_exit(libc._exit, None)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
