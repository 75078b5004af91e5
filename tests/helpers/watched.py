"""Waits for processes as long as they make progress, however slow the machine is.

A limit of the wall clock fails on a busy machine, where everything takes several times as long. Two
things are limited here instead, which other processes change little:

- how long the processes do nothing at all: they use no CPU time, do not wait for any, and leave no
  sign. The threads of a deadlock sleep, also those of a collective whose partner does not come;
- how much CPU time they use from one sign of progress to the next, for those that spin.

Signs are what the caller names, such as the size of a file to which every step adds a line. They
are the honest measure where there are some: CPU time alone shows that something runs, and not that
it gets anywhere.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

IDLE_SECONDS = 120.0
# CPU seconds between two signs: many times what compiling the largest program of the tests takes.
WORK_SECONDS = 300.0
# The share of a core below which a process is idle. Threads of JAX that wait in a deadlock take a
# third of it, and a process of the lowest priority beside busy ones of the usual one gets more.
_IDLE_SHARE = 0.01
_LOOK_SECONDS = 1.0
_PROC = Path("/proc")


class Stalled(AssertionError):
    """What is waited for makes no progress."""


class Patience:
    """Raises Stalled once processes make no progress any more; ask `check` again and again.

    Args:
      processes: their numbers. What they waited for is counted too, and what is in the session of
        one that leads its own.
      signs: something that changes with every progress they make.
      idle: seconds without a sign in which they use (nearly) no CPU time.
      work: CPU seconds without a sign.
    """

    def __init__(
        self,
        processes: Iterable[int],
        *,
        signs: Callable[[], Any] = lambda: None,
        idle: float = IDLE_SECONDS,
        work: float = WORK_SECONDS,
    ) -> None:
        self._processes, self._signs = frozenset(processes), signs
        self._idle, self._work = idle, work
        self._stirring = _IDLE_SHARE * idle * len(self._processes)
        self._looked = self._stirred = time.monotonic()
        self._seen = signs()
        self._cpu_at_sign = self._cpu_at_stir = cpu_seconds(self._processes)

    def check(self) -> None:
        """Raises Stalled if there was no progress for too long."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        cpu, seen = cpu_seconds(self._processes), self._signs()
        self._looked = now
        if seen != self._seen:
            self._seen, self._cpu_at_sign = seen, cpu
            self._stirred, self._cpu_at_stir = now, cpu
        # The time of a process that has ended is no longer counted, and the sum falls.
        self._cpu_at_sign = min(self._cpu_at_sign, cpu)
        if not 0 <= cpu - self._cpu_at_stir < self._stirring:
            self._stirred, self._cpu_at_stir = now, cpu
        if now - self._stirred > self._idle:
            if wants_cpu(self._processes):
                self._stirred, self._cpu_at_stir = now, cpu
                return
            raise Stalled(f"no progress after {seen}: idle for {now - self._stirred:.0f} s")
        worked = cpu - self._cpu_at_sign
        if worked > self._work:
            raise Stalled(f"no progress after {seen}: {worked:.0f} s of CPU time for nothing")


def finish(
    *started: "subprocess.Popen[str]", signs: Callable[[], Any] = lambda: None, **limits: float
) -> list["subprocess.CompletedProcess[str]"]:
    """Waits until all have ended, and returns their exit codes and outputs.

    Whatever else happens, none of them is left running.

    Args:
      started: processes that wait for each other, if they wait; their outputs are pipes.
      signs: see `Patience`.
      limits: see `Patience`.

    Raises:
      Stalled: none of them makes progress; with what they said.
    """
    patience = Patience([process.pid for process in started], signs=signs, **limits)
    with futures.ThreadPoolExecutor(len(started)) as pool:
        outputs = [pool.submit(process.communicate) for process in started]
        try:
            while futures.wait(outputs, timeout=_LOOK_SECONDS).not_done:
                patience.check()
        except Stalled as stalled:
            end(*started)
            said = [text for output in outputs for text in output.result() if text]
            raise Stalled("\n".join([str(stalled), *said])) from None
        finally:
            end(*started)
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output.result())
        for process, output in zip(started, outputs, strict=True)
    ]


def end(*started: "subprocess.Popen[Any]") -> None:
    """Kills those that still run, with the processes of the group that they lead."""
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                leads = os.getpgid(process.pid) == process.pid
                (os.killpg if leads else os.kill)(process.pid, signal.SIGKILL)


def until(happened: Callable[[], bool], what: str, *started: "subprocess.Popen[Any]") -> None:
    """Waits until something has happened, while these processes, or this one, make progress.

    Raises:
      AssertionError: they do not, or have ended without it.
    """
    patience = Patience([process.pid for process in started] or [os.getpid()])
    while True:
        ended = bool(started) and all(process.poll() is not None for process in started)
        if happened():
            return
        assert not ended, f"ended without {what!r}"
        try:
            patience.check()
        except Stalled as stalled:
            raise Stalled(f"waited in vain for {what!r}: {stalled}") from None
        time.sleep(0.02)


def cpu_seconds(processes: Iterable[int]) -> float:
    """The CPU time that processes, and those of the sessions that they lead, have used.

    With what they waited for. Without /proc nothing is known of it, and the wall clock stands in.
    """
    if not (_PROC / "self/stat").exists():
        return time.monotonic()
    # utime, stime, cutime, cstime
    ticks = sum(sum(map(int, fields[11:15])) for _, fields in _stats(processes))
    return ticks / os.sysconf("SC_CLK_TCK")


def wants_cpu(processes: Iterable[int]) -> bool:
    """Whether a thread of theirs is ready to run all the time, or waits for a disk.

    If it gets nowhere, then because the machine does more urgent things.
    """
    ready = None
    for _ in range(5):
        states = {
            task.parent.name: _fields(task)[0]
            for folder, _ in _stats(processes)
            for task in (folder / "task").glob("*/stat")
        }
        found = {thread for thread, state in states.items() if state in "RD"}
        ready = found if ready is None else ready & found
        time.sleep(0.2)
    return bool(ready - {str(threading.get_native_id())})


def _stats(processes: Iterable[int]) -> Iterator[tuple[Path, list[str]]]:
    """The folder in /proc, and the fields of `stat` from the state on, of each that counts."""
    chosen = frozenset(processes)
    for path in _PROC.glob("[0-9]*/stat"):
        fields = _fields(path)
        if int(path.parent.name) in chosen or int(fields[3]) in chosen:
            yield path.parent, fields


def _fields(path: Path) -> list[str]:
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return ["Z"] + ["0"] * 20
