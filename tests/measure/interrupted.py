"""Ctrl-C, once or twice, at random moments of every command; who swallows it is named.

    nice -n 10 python -m tests.measure.interrupted --trials=60

Every trial starts a command in a terminal of its own (a pseudo-terminal, where Ctrl-C is typed) or
in a process group of its own (which is sent SIGINT), and interrupts it once or twice. A run goes on
where the trial before has left it, and must end well at last. The first moments are spread over the
time that the command takes when nobody interrupts it; the second comes moments after the first.

Faults are: another exit code than 75 (a run that has saved), 130, or 0 (the work was done); a
traceback or a line that tells of an ignored exception; a command that is still there some seconds
after its last Ctrl-C, unless it is a run that was interrupted once, which ends its step and saves.
A code of -2 is the signal itself, which a shell shows as 130: so Python ends before ferjax's own
handling begins, and a command whose work is done. --seconds is for a machine that has time.
"""

import argparse
import collections
import contextlib
import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TYPED = b"\x03"
GIVEN_UP_SECONDS = 90.0
# What no user should see.
UGLY = ("Traceback", "Exception ignored", "defect of ferjax", "KeyboardInterrupt", "Fatal", "abort")
CONFIG = {
    "dataset.options.image_size": 16,
    "dataset.options.num_train": 84,
    "dataset.options.num_validation": 21,
    "dataset.options.num_test": 35,
    "model.name": "resnet10",
    "model.width": 8,
    "model.image_size": 16,
    "model.stem": "half",
    "train.batch_size": 16,
    "train.num_epochs": 6,
    "train.checkpoint_every_steps": 2,
    "evaluation.batch_size": 16,
}


def commands(folder):
    """Name -> arguments of python, for every command that is tried."""
    config = [
        "--config=configs/cbam_island.py:dataset=synthetic,attention=none",
        f"--config.dataset.data_dir={folder}/data",
        *(f"--config.{name}={value}" for name, value in CONFIG.items()),
    ]
    run, pictures = f"{folder}/whole", f"{folder}/pictures"
    prepare = ["--dataset=image_folder", f"--source={pictures}", f"--data_dir={folder}/prepared"]
    return {
        "main": ["-m", "ferjax.main", *config, "--workdir={workdir}"],
        "seeds": ["-m", "ferjax.main", *config, "--workdir={workdir}", "--seeds=2"],
        "predict": ["-m", "ferjax.predict", f"--workdir={run}", f"{pictures}/train"],
        "evaluate": ["-m", "ferjax.evaluate", f"--workdir={run}", "--tta=single,flip,ten_crop"],
        "prepare": ["-m", "ferjax.data.prepare", *prepare, "--name={workdir.name}"],
        "benchmark": ["-m", "ferjax.benchmark", *config, "--steps=5"],
    }


def draw_pictures(folder, number=600):
    """A folder of classes with small pictures."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(0)
    for index in range(number):
        path = folder / ("train", "test")[index % 2] / ("happy", "sad")[index % 4 // 2]
        path.mkdir(parents=True, exist_ok=True)
        pixels = drawn.integers(0, 256, (64, 64), np.uint8)
        Image.fromarray(pixels).save(path / f"{index}.png")


class Started:
    """A command in a terminal or a process group of its own, and what it has printed."""

    def __init__(self, arguments, environment, *, in_terminal):
        self.said = b""
        self._in_terminal = in_terminal
        self._end, other = pty.openpty() if in_terminal else os.pipe()
        self.process = subprocess.Popen(
            # A child of a shell's background ignores SIGINT, and so does what it starts.
            [sys.executable, "-c", _BEGIN, *arguments],
            cwd=REPOSITORY,
            env=environment,
            stdin=other if in_terminal else subprocess.DEVNULL,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self.begun = time.monotonic()

    def interrupt(self):
        if self._in_terminal:
            os.write(self._end, TYPED)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, seconds):
        """Reads for at most this time; whether the command has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.process.poll() is None:
            if select.select([self._end], [], [], min(left, 0.02))[0]:
                self._read()
        return self.process.poll() is not None

    def close(self):
        """Kills what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while select.select([self._end], [], [], 0)[0] and self._read():
            pass
        os.close(self._end)

    def _read(self):
        try:
            more = os.read(self._end, 65536)
        except OSError:  # how a terminal says that nobody writes any more
            more = b""
        self.said += more
        return more


# Takes the terminal, lets SIGINT act again, and becomes the command, under the same number.
_BEGIN = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def trial(arguments, environment, rng, *, until, times):
    """Starts a command and interrupts it; a dict of what came of it."""
    in_terminal = rng.random() < 0.5
    # Moments after the first: often at once, sometimes when most commands have ended.
    moments = [rng.uniform(0.1, 0.8 * until), rng.choice((0.05, 0.5, 3.0)) * rng.random() * 2]
    started = Started(arguments, environment, in_terminal=in_terminal)
    sent = []
    for pause in moments[:times]:
        if started.wait(pause):
            break
        sent.append(round(time.monotonic() - started.begun, 2))
        last = time.monotonic()
        started.interrupt()
    ended = started.wait(GIVEN_UP_SECONDS)
    took = time.monotonic() - (last if sent else started.begun)
    started.close()
    return {
        "terminal": in_terminal,
        "sent": sent,
        "code": started.process.returncode if ended else "HANGS",
        "seconds": round(took, 2),
        "said": started.said.decode(errors="replace"),
    }


def faults(name, found, limit):
    """What is wrong with the end of a trial, as a list of words."""
    sent, code = len(found["sent"]), found["code"]
    allowed = {130, -signal.SIGINT} | ({75} if name in ("main", "seeds") else set())
    wrong = []
    if code not in (allowed | {0} if sent else {0}):
        wrong.append(f"code {code}")
    wrong += [word for word in UGLY if word in found["said"]]
    patient = name in ("main", "seeds") and sent == 1
    if sent and found["seconds"] > limit and not patient:
        wrong.append(f"{found['seconds']} s")
    if code == 75 and "Run the same command again" not in found["said"]:
        wrong.append("does not say how to resume")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--twice", action="store_true", help="interrupt every command twice")
    parser.add_argument("--only", default="", help="names of commands, joined by commas")
    parser.add_argument("--log", help="file for everything that was printed, a JSON object a line")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw_pictures(folder / "pictures")
        # As the tests compile: unoptimised code is ready sooner.
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(REPOSITORY),
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        }
        kept = {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs")}
        kept["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"

        def arguments(name, workdir):
            return [one.format(workdir=workdir) for one in commands(folder)[name]]

        def whole(name, workdir):
            """The seconds that a command takes; it must end well."""
            done = Started(arguments(name, workdir), environment | kept, in_terminal=False)
            ended = done.wait(900)
            done.close()
            if not ended or done.process.returncode:
                raise SystemExit(f"{name}: {done.process.returncode}: {done.said.decode()}")
            return time.monotonic() - done.begun

        names = args.only.split(",") if args.only else list(commands(folder))
        seconds = {"main": whole("main", folder / "whole")}
        for name in names:
            seconds[name] = whole(name, folder / f"whole_{name}")
        print("seconds without an interruption:", {k: round(v, 1) for k, v in seconds.items()})
        workdirs = {name: folder / f"{name}_0" for name in names}
        totals, bad = collections.Counter(), 0
        for number in range(args.trials):
            name = names[number % len(names)]
            times = 2 if args.twice else 1 + (number // len(names)) % 2
            # Every third compiles what it runs.
            where = environment | (kept if rng.random() < 0.67 else {})
            found = trial(
                arguments(name, workdirs[name]), where, rng, until=seconds[name], times=times
            )
            wrong = faults(name, found, args.seconds)
            bad += bool(wrong)
            totals[name, len(found["sent"]), found["code"]] += 1
            place = "terminal" if found["terminal"] else "group"
            print(
                f"{number + 1:3} {name:9} {place:8} Ctrl-C at {found['sent']} -> "
                f"{found['code']}, {found['seconds']} s later{': ' if wrong else ''}"
                f"{', '.join(wrong)}",
                flush=True,
            )
            if wrong:
                print("\n".join(f"        | {line}" for line in found["said"].splitlines()[-30:]))
            if args.log:
                with open(args.log, "a") as log:
                    log.write(json.dumps({"name": name, "wrong": wrong, **found}) + "\n")
            if found["code"] == 0:
                workdirs[name] = folder / f"{name}_{number + 1}"
        for name in {"main", "seeds"} & set(names):
            whole(name, workdirs[name])  # resumes what the last trial left
        for (name, sent, code), count in sorted(totals.items(), key=str):
            print(f"{name}, interrupted {sent} times, code {code}: {count}")
        print(f"{bad} of {args.trials} trials have faults")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
