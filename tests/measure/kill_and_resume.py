"""SIGKILL a run at random moments, resume it, and compare it with one that nobody stopped.

    python -m tests.measure.kill_and_resume --kills=10 --placement=device
    python -m tests.measure.kill_and_resume --kills=10 --processes=2

Of several processes one is killed; the others must exit by themselves within 30 seconds, with the
code that asks for a restart. Every kill aims at a phase of the run, all of them in turn; what is
recorded is the phase in which it hit. The finished run must equal the uninterrupted one bit for
bit, in every array of its last and best checkpoints, and metrics.jsonl must have every step once,
with the same numbers.
"""

import argparse
import collections
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PHASES = ("compile", "train", "save", "evaluate")
TIMINGS = ("train_seconds", "images_per_second", "finished")
REPOSITORY = Path(__file__).resolve().parents[2]
NOT_YET = "start"
PATIENCE = 30  # seconds for the survivors of a kill
RESUMABLE = 75


def child(workdir, data_dir, placement, attention):
    """One process of the run.

    The main one keeps the name of its phase in a file beside the run directory.
    """
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
        loop.train(config, workdir)


def start(workdir, data_dir, options, processes):
    """Starts all processes of the run."""
    command = [
        sys.executable,
        "-m",
        "tests.measure.kill_and_resume",
        "--child",
        workdir,
        str(data_dir),
    ]
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    with open(f"{workdir}.log", "ab") as log:
        return [
            subprocess.Popen(
                [*command, *options],
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
                env=os.environ | {"FERJAX_TEST_PLACE": json.dumps([processes, rank, port])},
            )
            for rank in range(processes)
        ]


def phase_of(workdir):
    """The phase that the run is in; an unfinished checkpoint is one that is being saved."""
    if any(Path(workdir, "checkpoints").glob("*/*orbax-checkpoint-tmp*")):
        return "save"
    try:
        return Path(f"{workdir}.0.phase").read_text().strip() or NOT_YET
    except FileNotFoundError:
        return NOT_YET


def kill_once(workdir, data_dir, options, target, rng, processes):
    """Starts the run and kills one process some moments into `target`.

    Returns the phase the run was in and the seconds until the last of the others had exited, or
    None if the run ended before.

    Training is hit right after a checkpoint, so that there is something to resume.
    """
    Path(f"{workdir}.0.phase").unlink(missing_ok=True)
    started = start(workdir, data_dir, options, processes)
    process = rng.choice(started)
    patience = {"compile": 2.0, "train": 0.02, "save": 0.02, "evaluate": 0.3}[target]
    saved = newest_checkpoint(workdir)
    skip = rng.randrange(3) if target in ("save", "evaluate") else 0
    while process.poll() is None:
        waiting = target == "train" and newest_checkpoint(workdir) == saved
        if phase_of(workdir) == target and not waiting:
            if not skip:
                time.sleep(rng.uniform(0, patience))
                break
            skip -= 1
            while phase_of(workdir) == target and process.poll() is None:
                time.sleep(0.001)
        time.sleep(0.001)
    if process.poll() is not None:
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    phase = phase_of(workdir)
    for other in started:
        if other is not process:
            code = other.wait(timeout=PATIENCE)
            assert code == RESUMABLE, f"a survivor exited with {code}: {log_of(workdir)}"
    return phase, time.monotonic() - killed


def finish(workdir, data_dir, options, processes):
    codes = [process.wait() for process in start(workdir, data_dir, options, processes)]
    if any(codes):
        raise SystemExit(f"exit codes {codes}: {log_of(workdir)}")


def log_of(workdir):
    return Path(f"{workdir}.log").read_text()[-5000:]


def outcome(workdir, data_dir):
    """Everything the run must reproduce: arrays, rows and result, without what measures time."""
    import jax
    import numpy as np

    from ferjax.training import experiment
    from ferjax.workdir import checkpoint_files, checkpoints
    from ferjax.workdir.directory import RunDirectory

    directory = RunDirectory(workdir)
    like = experiment.build(directory.config()).states.abstract()
    saved = checkpoints.Checkpoints(workdir)
    last, _ = saved.restore(like)
    saved.close()
    best = checkpoint_files.newest(workdir, "best").weights(like.evaluated)
    arrays = {
        jax.tree_util.keystr(path): np.asarray(leaf).tobytes()
        for path, leaf in jax.tree_util.tree_flatten_with_path({"last": last, "best": best})[0]
    }
    rows = [json.loads(line) for line in Path(workdir, "metrics.jsonl").read_text().splitlines()]
    result = directory.result()
    result["cost"] = result["finished"] = None
    return {"arrays": arrays, "rows": rows, "result": result}


def compare(expected, found):
    """Raises AssertionError at the first difference."""
    assert expected["arrays"].keys() == found["arrays"].keys()
    for name, content in expected["arrays"].items():
        assert content == found["arrays"][name], f"{name} differs"
    for run in (expected, found):
        counts = collections.Counter((row["kind"], row["step"]) for row in run["rows"])
        assert set(counts.values()) == {1}, "a step is there more than once"
    assert expected["rows"] == found["rows"]
    assert expected["result"] == found["result"]


def campaign(folder, *, kills, options, seed, processes=1, report=print):
    """Returns the phases that were hit; raises AssertionError if the runs differ.

    Kills go on until one left a checkpoint from the middle of the run: one that starts afresh, or
    has only its test before it, resumes nothing.
    """
    rng = random.Random(seed)
    data_dir, whole, killed = (str(Path(folder) / name) for name in ("data", "whole", "killed"))
    finish(whole, data_dir, options, processes)
    hits = collections.Counter()
    attempt = 0
    steps_of_run = json.loads(Path(whole, "result.json").read_text())["num_steps"]
    resumed = set()
    while sum(hits.values()) < kills or not resumed & set(range(1, steps_of_run)):
        missing = [phase for phase in PHASES if not hits[phase]]
        target = missing[attempt % len(missing)] if missing else rng.choice(PHASES)
        attempt += 1
        hit = kill_once(killed, data_dir, options, target, rng, processes)
        if hit is None:
            # It ended before the kill: what it made is compared, and a new run takes the next.
            compare(outcome(whole, data_dir), outcome(killed, data_dir))
            killed = str(Path(folder) / f"killed_{attempt}")
            continue
        steps = 0
        if Path(killed, "metrics.jsonl").exists():
            steps = Path(killed, "metrics.jsonl").read_text().count('"kind": "train"')
        phase, seconds = hit
        hits[phase] += 1
        saved = newest_checkpoint(killed)
        resumed.add(saved)
        report(
            f"kill {sum(hits.values())}: aimed at {target}, hit {phase}, {steps} steps logged, "
            f"{saved} of {steps_of_run} saved, all gone after {seconds:.1f} s"
        )
    finish(killed, data_dir, options, processes)
    compare(outcome(whole, data_dir), outcome(killed, data_dir))
    return dict(hits)


def newest_checkpoint(workdir):
    """Step of the newest whole checkpoint, 0 if there is none."""
    names = [path.name for path in Path(workdir, "checkpoints", "last").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--placement", choices=("device", "host", "stream"), default="device")
    parser.add_argument("--attention", choices=("none", "se", "cbam"), default="cbam")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("WORKDIR", "DATA_DIR"))
    args = parser.parse_args()
    if args.child:
        child(*args.child, args.placement, args.attention)
        return
    with tempfile.TemporaryDirectory() as folder:
        options = (f"--placement={args.placement}", f"--attention={args.attention}")
        hits = campaign(
            folder, kills=args.kills, options=options, seed=args.seed, processes=args.processes
        )
    assert set(PHASES) <= set(hits), f"only {sorted(hits)} were hit"
    print(f"{args.kills} kills, {hits}: every array, row and number equals the uninterrupted run's")


if __name__ == "__main__":
    main()
