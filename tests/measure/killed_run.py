"""A shrunk run of one or several processes that is started, watched, and killed at a chosen moment.

    FERJAX_TEST_PLACE='[2, 0, 12345]' python -m tests.measure.killed_run WORKDIR DATA_DIR \
        PLACEMENT ATTENTION

is one of its processes, which keeps its phase in a file beside the run directory.
"""

import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers import watched

PHASES = ("compile", "train", "save", "evaluate")
# Before these: the processes have not met; data are read and a checkpoint is restored.
NOT_YET, SET_UP = "start", "set up"
REPOSITORY = Path(__file__).resolve().parents[2]
WORK_SECONDS = 900  # of CPU time: compiling in optimised machine code takes a tenth
RESUMABLE = 75


def child(workdir, data_dir, placement, attention):
    """One process of the run."""
    from ferjax.distributed.processes import Place, joined
    from ferjax.evaluation import evaluator
    from ferjax.training import experiment, loop
    from ferjax.workdir import checkpoints
    from tests.helpers import tiny

    size, rank, port = json.loads(os.environ.get("FERJAX_TEST_PLACE", "[1, 0, 0]"))
    place = Place(f"localhost:{port}", size, rank) if size > 1 else None
    file = os.open(f"{workdir}.{rank}.phase", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)

    def enter(phase):
        os.pwrite(file, phase.ljust(16).encode(), 0)

    def during(phase, function, after="train"):
        def wrapped(*arguments, **keywords):
            enter(phase)
            result = function(*arguments, **keywords)
            enter(after)
            return result

        return wrapped

    enter(NOT_YET)
    build_step = experiment.Experiment.train_step.func

    def train_step(run):
        step = build_step(run)
        calls = iter([during("compile", step)])
        return lambda *arguments: next(calls, step)(*arguments)

    experiment.Experiment.train_step = functools.cached_property(train_step)
    experiment.Experiment.train_step.__set_name__(experiment.Experiment, "train_step")
    checkpoints.Checkpoints.save_best = during("save", checkpoints.Checkpoints.save_best)
    checkpoints.Checkpoints.save_last = during("save", checkpoints.Checkpoints.save_last)
    checkpoints.Checkpoints.wait = during("save", checkpoints.Checkpoints.wait)
    evaluator.evaluate = during("evaluate", evaluator.evaluate)
    config = tiny.config(
        data_dir,
        f"attention={attention}",
        dataset__placement=placement,
        train__checkpoint_every_steps=2,
    )
    if placement == "stream":
        config.dataset.options.jpeg_quality = 90  # files that must be decoded
    with joined(place):
        enter(SET_UP)
        loop.train(config, workdir)


def start(workdir, data_dir, options, processes):
    """Starts all processes of the run."""
    command = [sys.executable, "-m", "tests.measure.killed_run", workdir, data_dir, *options]
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    with open(f"{workdir}.log", "ab") as log:
        return [
            subprocess.Popen(
                command,
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                env=os.environ | {"FERJAX_TEST_PLACE": json.dumps([processes, rank, port])},
            )
            for rank in range(processes)
        ]


@contextlib.contextmanager
def running(workdir, data_dir, options, processes):
    """Starts the processes, and kills those that still run in the end; a stall shows their log."""
    for path in phase_files(workdir):
        path.unlink()
    started = start(workdir, data_dir, options, processes)
    try:
        yield started
    except watched.Stalled as stalled:
        raise SystemExit(f"{stalled}: {log_of(workdir)}") from None
    finally:
        watched.end(*started)
        for process in started:
            process.wait()


def patience_with(started, workdir):
    """Ends when the processes leave no sign: a new phase, a line in the log, a row of a step."""

    def signs():
        files = (Path(f"{workdir}.log"), Path(workdir, "metrics.jsonl"))
        sizes = [path.stat().st_size for path in files if path.exists()]
        return [path.read_text().strip() for path in phase_files(workdir)], sizes

    numbers = [process.pid for process in started]
    return watched.Patience(numbers, signs=signs, work=WORK_SECONDS)


def wait(started, workdir):
    """Waits until the processes have ended, and returns their exit codes."""
    patience = patience_with(started, workdir)
    for process in started:
        while process.poll() is None:
            patience.check()
            time.sleep(0.01)
    return [process.returncode for process in started]


def phase_files(workdir):
    return sorted(Path(workdir).parent.glob(f"{Path(workdir).name}.*.phase"))


def recorded_phase(workdir, rank=0):
    """The phase that a process has written down."""
    try:
        return Path(f"{workdir}.{rank}.phase").read_text().strip() or NOT_YET
    except FileNotFoundError:
        return NOT_YET


def phase_of(workdir):
    """The phase that the run is in; an unfinished checkpoint is one that is being saved."""
    phase = recorded_phase(workdir)
    saves = any(Path(workdir, "checkpoints").glob("*/*orbax-checkpoint-tmp*"))
    # Before the first step it is one that an earlier kill left.
    return "save" if saves and phase not in (NOT_YET, SET_UP, "compile") else phase


def aim(target, workdir, process, rng, check):
    """Returns when the process is to be killed, or has ended.

    `target` is a phase, some moments into which it is, or the seconds until then. Training is hit
    right after a checkpoint, so that there is something to resume. `check` is called all the time.
    """
    moment = time.monotonic() + (0 if target in PHASES else target)
    saved = newest_checkpoint(workdir)
    skip = rng.randrange(3) if target in ("save", "evaluate") else 0
    while process.poll() is None:
        check()
        if target not in PHASES:
            if time.monotonic() >= moment:
                return
        elif phase_of(workdir) == target and not (
            target == "train" and newest_checkpoint(workdir) == saved
        ):
            if not skip:
                patience = {"compile": 2.0, "train": 0.02, "save": 0.02, "evaluate": 0.3}[target]
                time.sleep(rng.uniform(0, patience))
                return
            skip -= 1
            while phase_of(workdir) == target and process.poll() is None:
                check()
                time.sleep(0.001)
        time.sleep(0.001)


def kill_once(workdir, data_dir, options, target, rng, processes):
    """Starts the run and kills one process where it is to (see `aim`).

    Returns the phase the run was in and the seconds until the last of the others had exited, or
    None if the run ended before.
    """
    log = Path(f"{workdir}.log")
    before = log.stat().st_size if log.exists() else 0
    with running(workdir, data_dir, options, processes) as started:
        process = rng.choice(started)
        aim(target, workdir, process, rng, patience_with(started, workdir).check)
        process.kill()
        process.wait()
        killed = time.monotonic()
        phase = phase_of(workdir)
        ended = process.returncode != -signal.SIGKILL
        if ended and any(codes := wait(started, workdir)):
            raise SystemExit(f"exit codes {codes}: {log_of(workdir)}")
        if ended or Path(workdir, "result.json").exists():
            return None
        if NOT_YET in (recorded_phase(workdir, rank) for rank in range(processes)):
            # The others wait for it as for one that is not started yet. A launcher ends them.
            return phase, 0.0
        others = [other for other in started if other is not process]
        codes = wait(others, workdir)
        said = log.read_bytes()[before:].decode(errors="replace")
        message = f"process {started.index(process)} of {processes} has died"
        if set(codes) - {RESUMABLE} or said.count(message) != len(others):
            raise SystemExit(f"the others exited with {codes}: {log_of(workdir)}")
        return phase, time.monotonic() - killed


def finish(workdir, data_dir, options, processes):
    """Runs it to its end, and returns the seconds that this took."""
    begun = time.monotonic()
    with running(workdir, data_dir, options, processes) as started:
        if any(codes := wait(started, workdir)):
            raise SystemExit(f"exit codes {codes}: {log_of(workdir)}")
    return time.monotonic() - begun


def log_of(workdir):
    return Path(f"{workdir}.log").read_text()[-5000:]


def newest_checkpoint(workdir):
    """Step of the newest whole checkpoint, 0 if there is none."""
    names = [path.name for path in Path(workdir, "checkpoints", "last").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


if __name__ == "__main__":
    child(*sys.argv[1:])
