"""How the C library treats the memory that XLA's CPU client frees.

The client asks for every temporary of a program anew, a gigabyte for a step of ResNet-18, and frees
it afterwards. glibc hands blocks of that size back to the kernel, which clears the same pages again
for the next step: 300,000 page faults, a fifth of the processor time of a step on two cores.
"""

from __future__ import annotations

import ctypes
import sys

import jax

# Parameters of mallopt(3).
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_ARENA_MAX = -8


def keep_freed_pages() -> bool:
    """Lets this process keep what it frees, for as long as it lives, where JAX runs on the CPU.

    Programs of a size then find their pages mapped from their second run on. All threads share one
    heap, of which up to 2 GiB stay reserved between programs; a thread that had one of its own
    before keeps it, so call this before the first program runs. Returns whether it could be done:
    False on a TPU or GPU, and where the C library is not glibc.
    """
    if jax.default_backend() != "cpu" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1))
    return all([mallopt(parameter, value) == 1 for parameter, value in settings])
