"""A run that stands still ends itself and says where."""

import threading
import time
import types

import pytest

from ferjax.distributed import watchdog
from tests.helpers import watched


@pytest.fixture
def exited(monkeypatch):
    """An event that is set, with the code, instead of leaving the process."""
    event = threading.Event()

    def leave(code):
        event.code = code
        event.set()

    monkeypatch.setattr(watchdog.os, "_exit", leave)
    monkeypatch.setattr(watchdog.faulthandler, "dump_traceback", lambda file: file.write("THREADS"))
    return event


@pytest.fixture
def clock(monkeypatch):
    """The watchdog's clock, which the test moves: however slow the machine, no limit is passed."""
    clock = types.SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(watchdog, "time", clock)
    return clock


def test_it_exits_with_the_resumable_code_and_names_what_it_waited_for(exited, clock, capsys):
    with watchdog.Watchdog(0.05) as dog:
        dog.tick("step 17")
        clock.now = 1.0
        watched.until(exited.is_set, "the end of the run")
    assert exited.code == 75
    printed = capsys.readouterr().err
    assert "no progress for" in printed and "at step 17, the limit of train.watchdog_mi" in printed
    assert printed.endswith("THREADS")


def test_progress_keeps_it_quiet(exited, clock):
    with watchdog.Watchdog(0.05) as dog:
        for step in range(20):
            dog.tick(f"step {step}")
            time.sleep(0.02)
            clock.now += 0.04
        assert not exited.is_set() and clock.now > 10 * 0.05
        clock.now += 0.02  # it was looking all the time
        watched.until(exited.is_set, "the end of the run")


def test_zero_switches_it_off(exited):
    with watchdog.Watchdog(0.0):
        assert not exited.wait(0.2)
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())
