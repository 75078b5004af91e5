"""A Ctrl-C that nothing answers ends a command; the signals come from within, at one place."""

import signal

import pytest

from ferjax.training import loop
from tests.helpers import tiny

BEGIN = """
import builtins, ctypes, os, signal, sys, tempfile, threading, time
from absl import flags
from ferjax import interrupts
from ferjax.cli import command

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
interrupts.GRACE_SECONDS = 0.3

def send():
    os.kill(os.getpid(), signal.SIGINT)

def type_twice():
    for heard in range(1, 3):
        time.sleep(0.2)  # until the main thread is there
        send()
        while interrupts._heard < heard:
            time.sleep(0.01)

def compile(seconds=600):
    # Code that is not Python's, which a signal to another thread does not interrupt.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    threading.Thread(target=type_twice, daemon=True).start()
    ctypes.CDLL(None).sleep(seconds)

def begin():
    # A module in C++ ends the process by abort when Python raises while it begins.
    sys.path.insert(0, tempfile.mkdtemp())
    with open(f"{sys.path[0]}/begins.py", "w") as file:
        file.write("try:\\n    SEND()\\nexcept BaseException:\\n    __import__('os').abort()\\n")
    builtins.SEND = send
    import begins

def request(*_):
    interrupts.answer()
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""
END = "\ncommand.run(main, flag_values=flags.FlagValues(), argv=['x'])\n"
# What main does with a Ctrl-C that it is sent.
SWALLOWED = {
    "within a compiler": "compile()",
    "by a module that begins": "begin()",
    "as one of two requests within a compiler": (
        "signal.signal(signal.SIGINT, request)\n    interrupts.await_one(True)\n    compile()"
    ),
    "by what catches everything": (
        "try:\n        send()\n    except BaseException:\n        threading.Event().wait()"
    ),
    "by the threads that an exit waits for": (
        "threading.Thread(target=threading.Event().wait).start()\n    send()"
    ),
    "by an error that a library makes of it": (
        "try:\n        send()\n    except KeyboardInterrupt:\n        raise ValueError('callback')"
    ),
    "by the second while the first is told": (
        "command.explain = lambda error: send()\n    send()\n    return 3"
    ),
}


@pytest.mark.parametrize("where", SWALLOWED)
def test_a_ctrl_c_is_not_swallowed(run_python, where):
    code = f"{BEGIN}\ndef main(argv):\n    {SWALLOWED[where]}\n{END}"
    done = run_python(code, check=False)
    said = "" if "told" in where else "interrupted from the keyboard"
    assert (done.returncode, done.stderr.strip()) == (130, said)


def test_a_ctrl_c_that_ends_the_reader_too_is_not_swallowed(run_python):
    """As in `ferjax.main 2>&1 | tee log`, where both get it."""
    lost = "reader, writer = os.pipe()\n    os.close(reader)\n    os.dup2(writer, 2)"
    done = run_python(f"{BEGIN}\ndef main(argv):\n    {lost}\n    compile()\n{END}", check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_request_may_take_its_time(run_python):
    body = (
        "signal.signal(signal.SIGINT, request)\n    interrupts.await_one(True)\n"
        "    send()\n    time.sleep(1)\n    return 75"
    )
    done = run_python(f"{BEGIN}\ndef main(argv):\n    {body}\n{END}", check=False)
    assert (done.returncode, done.stderr) == (75, "")


def test_one_that_comes_after_the_work_ends_it_in_silence(run_python):
    late = "import atexit\n    atexit.register(os.kill, os.getpid(), signal.SIGINT)"
    done = run_python(f"{BEGIN}\ndef main(argv):\n    {late}\n{END}", check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_two_that_python_takes_for_one_are_two(run_python):
    body = (
        "from ferjax.distributed.signals import StopRequest\n"
        "    interrupts.GRACE_SECONDS = 600\n"
        "    with StopRequest():\n"
        "        compile(2)\n"
        "    threading.Event().wait()"
    )
    done = run_python(f"{BEGIN}\ndef main(argv):\n    {body}\n{END}", check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted from the keyboard\n")


RUN = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ferjax.cli import command
from ferjax.training import sweep
from ferjax.workdir import checkpoints, writer
from tests.helpers import tiny
from absl import flags

write_step, save_last = writer.Writer.write_step, checkpoints.Checkpoints.save_last

def written(self, step, values):
    write_step(self, step, values)
    if step == 3:
        os.kill(os.getpid(), signal.SIGINT)

def saved(self, *arguments):
    save_last(self, *arguments)
    os.kill(os.getpid(), signal.SIGINT)

writer.Writer.write_step, checkpoints.Checkpoints.save_last = written, saved

def main(argv):
    sweep.run(tiny.config(sys.argv[1], train__num_epochs=1), sys.argv[2])

command.run(main, flag_values=flags.FlagValues(), argv=["x"])
"""


def test_a_second_ctrl_c_while_the_first_is_saved_ends_it_and_the_run_can_go_on(
    data_dir, run_python, tmp_path
):
    done = run_python(["-c", RUN, data_dir, tmp_path], check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "interrupted from the keyboard"
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
    config = tiny.config(data_dir, train__num_epochs=1)
    assert loop.train(config, str(tmp_path))["num_steps"] == 5
