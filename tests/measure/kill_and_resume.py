"""SIGKILL a run at random moments, resume it, and compare it with one that nobody stopped.

    python -m tests.measure.kill_and_resume --kills=10 --placement=device
    python -m tests.measure.kill_and_resume --kills=10 --processes=2

The first kills aim at the phases of a run that are not hit yet; of the others every second one, on
average, comes at any moment of a run with equal chance, and the rest aim at a phase. What is
recorded is the phase in which it hit. The finished run must equal the uninterrupted one bit for
bit, in every array of its last and best checkpoints, and metrics.jsonl must have every step once,
with the same numbers.

Of several processes one is killed; the others must hear of it, say so, and exit by themselves with
the code that asks for a restart. That they hear at once, by their connection and not by a heartbeat
that is missing, is what their message shows; how long it takes is reported, and depends on what
else the machine does. No limit here is one of the wall clock: a run is given up when it makes no
progress (see tests/helpers/watched.py).
"""

import argparse
import collections
import json
import random
import tempfile
from pathlib import Path

from tests.measure.killed_run import PHASES, finish, kill_once, newest_checkpoint


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
    seconds_of_run = finish(whole, data_dir, options, processes)
    hits = collections.Counter()
    attempt = 0
    steps_of_run = json.loads(Path(whole, "result.json").read_text())["num_steps"]
    resumed = set()
    while sum(hits.values()) < kills or not resumed & set(range(1, steps_of_run)):
        missing = [phase for phase in PHASES if not hits[phase]]
        aim = target = rng.choice(missing or PHASES)
        if not missing and rng.random() < 0.5:
            aim, target = "any moment", rng.uniform(0, seconds_of_run)
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
            f"kill {sum(hits.values())}: aimed at {aim}, hit {phase}, {steps} steps logged, "
            f"{saved} of {steps_of_run} saved, all gone after {seconds:.1f} s"
        )
    finish(killed, data_dir, options, processes)
    compare(outcome(whole, data_dir), outcome(killed, data_dir))
    return dict(hits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--placement", choices=("device", "host", "stream"), default="device")
    parser.add_argument("--attention", choices=("none", "se", "cbam"), default="cbam")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = (args.placement, args.attention)
        hits = campaign(
            folder, kills=args.kills, options=options, seed=args.seed, processes=args.processes
        )
    assert set(PHASES) <= set(hits), f"only {sorted(hits)} were hit"
    print(f"{args.kills} kills, {hits}: every array, row and number equals the uninterrupted run's")


if __name__ == "__main__":
    main()
