"""What orbax's threads print beside the error of a failed save is dropped, and nothing else."""

import logging
import sys
import types

import pytest

from ferjax.workdir import orbax_threads
from ferjax.workdir.array_items import first_line


@pytest.fixture
def said(monkeypatch):
    """What the hook of Python, as it is before orbax_threads, is told of."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    yield told
    logging.getLogger("absl").removeFilter(orbax_threads._is_no_traceback_of_orbax)
    logging.getLogger("asyncio").removeFilter(orbax_threads._is_no_task_of_orbax)


def test_only_the_closed_loop_is_dropped(said):
    def found(error):
        return types.SimpleNamespace(exc_type=type(error), exc_value=error, object=None)

    orbax_threads.quieten()
    others = [found(RuntimeError("x")), found(KeyboardInterrupt("Event loop is closed"))]
    for one in (found(RuntimeError("Event loop is closed")), *others):
        sys.unraisablehook(one)
    assert said == others


def test_the_hook_is_put_in_once(said):
    orbax_threads.quieten()
    hook = sys.unraisablehook
    orbax_threads.quieten()
    assert sys.unraisablehook is hook


@pytest.mark.parametrize(
    ("error", "in_block", "after_success", "after_failure"),
    [
        (RuntimeError("Event loop is closed"), False, True, False),
        (RuntimeError("another"), False, True, True),
        (KeyboardInterrupt(), True, True, True),
    ],
)
def test_what_is_said_of_reads_that_are_left_waiting(
    said, error, in_block, after_success, after_failure
):
    found = types.SimpleNamespace(exc_type=type(error), exc_value=error, object=None)

    def is_said():
        said.clear()
        sys.unraisablehook(found)
        return bool(said)

    with orbax_threads.quiet():
        assert is_said() == in_block
    assert is_said() == after_success
    with orbax_threads.quiet() as failed:
        failed()
    assert is_said() == after_failure


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        ("Task exception was never retrieved: <coro=<f() defined at /x/orbax/a.py:1>>", False),
        ("Future exception was never retrieved: ValueError('8.orbax-checkpoint-tmp')", False),
        ("Event loop is closed", False),
        ("Task exception was never retrieved: <coro=<f() defined at /x/of_mine.py:1>>", True),
    ],
)
def test_tasks_of_others_are_reported(said, caplog, text, is_said):
    orbax_threads.quieten()
    logging.getLogger("asyncio").error("%s", text)
    assert (text in caplog.text) == is_said


@pytest.mark.parametrize(("name", "is_said"), [("/x/orbax/a.py", False), ("/x/a.py", True)])
def test_tasks_that_failed_in_code_of_orbax_are_not_reported(said, caplog, name, is_said):
    orbax_threads.quieten()
    try:
        exec(compile("raise OSError(28, 'No space left on device')", name, "exec"))
    except OSError:
        logging.getLogger("asyncio").exception("Future exception was never retrieved")
    assert ("never retrieved" in caplog.text) == is_said


@pytest.mark.parametrize(
    ("path", "error", "is_said"),
    [
        ("/x/orbax/a.py", ValueError("x"), False),
        ("/x/orbax/a.py", None, True),
        ("/x/a.py", 1, True),
    ],
)
def test_only_tracebacks_of_orbax_are_dropped(said, path, error, is_said):
    orbax_threads.quieten()
    record = logging.LogRecord(
        "absl", logging.ERROR, path, 1, "text", (), error and (1, error, None)
    )
    assert bool(logging.getLogger("absl").filter(record)) == is_said


def test_what_the_system_refused_says_all():
    text = 'RESOURCE_EXHAUSTED: Failed writing: "/x" [OS error 28: ENOSPC No space left on device]'
    assert first_line(ValueError(text)) == "No space left on device"
    assert first_line(ValueError("x\ny")) == "x"
    assert first_line(OSError(28, "No space left on device", "/x")).endswith("'/x'")
