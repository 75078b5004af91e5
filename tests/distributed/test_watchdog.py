"""A run that stands still ends itself and says where."""

import threading
import time

import pytest

from ferjax.distributed import watchdog


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


def test_it_exits_with_the_resumable_code_and_names_what_it_waited_for(exited, capsys):
    with watchdog.Watchdog(0.05) as dog:
        dog.tick("step 17")
        assert exited.wait(10)
    assert exited.code == 75
    printed = capsys.readouterr().err
    assert "no progress for" in printed and "at step 17, the limit of train.watchdog_mi" in printed
    assert printed.endswith("THREADS")


def test_progress_keeps_it_quiet(exited):
    with watchdog.Watchdog(0.5) as dog:
        for step in range(12):
            dog.tick(f"step {step}")
            time.sleep(0.1)
    assert not exited.wait(0.7)


def test_zero_switches_it_off(exited):
    with watchdog.Watchdog(0.0):
        assert not exited.wait(0.2)
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())
