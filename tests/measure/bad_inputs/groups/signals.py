"""Signals, locks and the clock."""

import fcntl
import os
import signal

from tests.helpers.strangers import folder, text
from tests.measure.bad_inputs import shared
from tests.measure.bad_inputs.case import Case

# A module that Python imports when it starts. The signals come from within, so that they come at
# one place and not after some seconds.
_HOOK = """
import gc, os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

def send():
    for number in {numbers}:
        os.kill(os.getpid(), number)

class OnImport:
    def find_spec(name, path=None, target=None):
        if name == {place!r}:
            sys.meta_path.remove(OnImport)
            send()

def on_file():
    while not os.path.exists({place!r}):
        time.sleep(0.01)
    send()

def in_callback(phase, info):
    if os.path.exists({place!r}) or {place!r} in sys.modules:
        gc.callbacks.remove(in_callback)
        send()
"""
_STARTS = {
    "import": "sys.meta_path.insert(0, OnImport)",
    "file": "threading.Thread(target=on_file, daemon=True).start()",
    "callback": "gc.callbacks.append(in_callback)",
}
_CLOCK = """
import itertools, time
_seen = itertools.count(int(time.time()), -1)
time.time = lambda: float(next(_seen))
"""
_PATH = {"PYTHONPATH": f"hooks{os.pathsep}{shared.REPOSITORY}"}
_SAVED = "step 1 of 16; everything is saved in run. Run the same command again to resume"
_held = []  # open files, whose locks end with this process


def _hooked(code, command):
    """A maker of a command line whose process runs `code` when it starts."""

    def made(stage):
        text(folder(stage.here / "hooks") / "sitecustomize.py", code)
        return command(stage)

    return made


def _sending(start, place, numbers):
    hook = _HOOK.format(place=place, numbers=[int(number) for number in numbers])
    return f"{hook}{_STARTS[start]}\n"


def _train(stage):
    return "main", *shared.TINY, "--workdir=run"


def _predict(stage):
    image = stage.shared / "images" / "happy" / "0.png"
    return "predict", f"--workdir={stage.shared}/tiny", image


def _prepare(stage):
    source = f"--source={stage.shared}/images"
    return "prepare", "--dataset=image_folder", "--name=new", source, "--data_dir=made"


def _locked(stage):
    """The workdir has the lock of another process."""
    file = open(folder(stage.here / "run") / ".lock", "w")  # noqa: SIM115
    fcntl.flock(file, fcntl.LOCK_EX)
    _held.append(file)
    return _train(stage)


def _linked(stage):
    (stage.here / "linked").symlink_to(stage.run())
    return "main", *shared.TINY, "--workdir=linked"


def _nothing_made(stage):
    assert not (stage.here / "made").exists(), "a data set was begun"


_INTERRUPTED = "interrupted from the keyboard"
_WRITES = "run/metrics.jsonl"
_INT, _TERM = signal.SIGINT, signal.SIGTERM
# name: (what, start, place, signals, command, exit code, says)
_SIGNALS = {
    "4": ("SIGINT in the first imports", "import", "absl", [_INT], _train, -_INT, _INTERRUPTED),
    "4_callback": (
        "SIGINT in a callback while a command imports",
        "callback",
        "absl",
        [_INT],
        _train,
        -_INT,
        _INTERRUPTED,
    ),
    "6": ("SIGINT in the later imports", "import", "jax", [_INT], _train, 130, _INTERRUPTED),
    "7": ("SIGINT in training", "file", _WRITES, [_INT], _train, 75, f"SIGINT after {_SAVED}"),
    "8": ("SIGTERM in the imports: ends at once", "import", "jax", [_TERM], _train, -_TERM, ""),
    "9": ("SIGTERM in training", "file", _WRITES, [_TERM], _train, 75, f"SIGTERM after {_SAVED}"),
    "10": (
        "two SIGINT in training, the second in a callback, where Python raises nothing",
        "callback",
        _WRITES,
        [_INT, _INT],
        _train,
        130,
        _INTERRUPTED,
    ),
    "12": ("SIGINT in predict", "import", "orbax.checkpoint", [_INT], _predict, 130, _INTERRUPTED),
    "12_callback": (
        "SIGINT in a callback in predict",
        "callback",
        "orbax.checkpoint",
        [_INT],
        _predict,
        130,
        _INTERRUPTED,
    ),
    "13": (
        "SIGINT in prepare",
        "import",
        "tensorflow_datasets",
        [_INT],
        _prepare,
        130,
        _INTERRUPTED,
    ),
}

CASES = [
    *(
        Case(
            f"sig.{name}",
            what,
            _hooked(_sending(start, place, numbers), command),
            code=code,
            says=[said],
            check=_nothing_made,
            env=_PATH,
            process=True,
        )
        for name, (what, start, place, numbers, command, code, said) in _SIGNALS.items()
    ),
    Case(
        "sig.14",
        "a clock that goes back one second at every look",
        _hooked(_CLOCK, _train),
        code=0,
        says=["epoch 2/2"],
        env=_PATH,
        process=True,
    ),
    Case(
        "sig.2",
        "the workdir is locked by another process",
        _locked,
        says=["The workdir run is in use by another process; wait for it, or name another"],
    ),
    Case(
        "sig.3b",
        "a link to the workdir of a finished run",
        _linked,
        code=0,
        says=["ferjax.load('linked')"],
    ),
]
