"""The numbers of a run do not depend on how many processes share its work, or on which start."""

import json
import os
import re
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from ferjax import filesystem
from ferjax.training import experiment
from ferjax.workdir import checkpoint_files, checkpoints, directory, predictions
from tests.helpers import a_process, watched
from tests.measure import kill_and_resume

EVERYTHING = 15  # steps of the run


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def arrays(workdir):
    like = experiment.build(directory.RunDirectory(workdir).config()).states.abstract()
    saved = checkpoints.Checkpoints(workdir)
    last, _ = saved.restore(like)
    saved.close()
    best = checkpoint_files.newest(workdir, "best").weights(like.evaluated)
    return jax.tree_util.tree_flatten_with_path({"last": last, "best": best})[0]


def assert_same_run(workdir, expected):
    """Equal but for the order in which float32 numbers are added."""
    for one, other in zip(rows(workdir), rows(expected), strict=True):
        assert one.pop("kind") == other.pop("kind")
        assert one == pytest.approx(other, rel=1e-5)
    for (path, one), (_, other) in zip(arrays(workdir), arrays(expected), strict=True):
        name = jax.tree_util.keystr(path)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
    one, other = (directory.RunDirectory(path).result() for path in (workdir, expected))
    for result in (one, other):
        result["cost"] = result["finished"] = None
        result["losses"] = [result["training"].pop("loss"), *_rounded(result)]
    assert one.pop("losses") == pytest.approx(other.pop("losses"), rel=1e-3, abs=1e-5)
    stored = one.pop("predictions"), other.pop("predictions")
    assert one == other
    for split in stored[0]:
        kept = [
            predictions.read(filesystem.of(path), split, found[split]["sha256"])
            for path, found in zip((workdir, expected), stored, strict=True)
        ]
        np.testing.assert_array_equal(kept[0].label, kept[1].label)
        assert kept[0].images == kept[1].images
        for view, probabilities in kept[0].probabilities.items():
            np.testing.assert_allclose(probabilities, kept[1].probabilities[view], atol=1e-5)


def _rounded(result):
    """Takes out what the order of sums can change, and returns its numbers."""
    found = list(result.pop("temperature").values())
    for groups in result["test"].values():
        for metrics in groups.values():
            found += [metrics.pop("loss"), metrics.pop("calibration_error")]
            found += metrics.pop("calibrated").values()
            found += metrics["intervals"].pop("loss")
    return found


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    """One process with four devices."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    codes, outputs = a_process.launch(workdir, data_dir, processes=1, devices=4)
    assert codes == [0], outputs
    return workdir


def test_two_processes_give_the_numbers_of_one(whole, data_dir, tmp_path):
    workdir = tmp_path / "run"
    codes, outputs = a_process.launch(workdir, data_dir, processes=2, devices=2)
    assert codes == [0, 0], outputs
    assert_same_run(workdir, whole)
    assert a_process.batches(workdir) == a_process.batches(whole)
    # Process 0 alone reports.
    assert "Test scores" in outputs[0] and "Test scores" not in outputs[1]
    held = {path.name: len(path.read_text().splitlines()) for path in tmp_path.glob("*.rows.*")}
    assert held == {"run.rows.2.0": 2 * EVERYTHING, "run.rows.2.1": 2 * EVERYTHING}


def test_a_run_moves_between_two_processes_and_one(whole, data_dir, tmp_path):
    """Killed, stopped, and finished, with parameters split over devices or whole."""
    workdir = tmp_path / "run"
    sharded = {"overrides": {"train__parameter_placement": "sharded"}}
    # Streaming has threads ahead of the devices.
    sharded["overrides"]["dataset__placement"] = "stream"

    def start(processes, *options):
        codes, outputs = a_process.launch(
            workdir, data_dir, processes=processes, devices=4 // processes, options=options
        )
        return codes, outputs[0]

    # One is killed; the other says so and leaves.
    codes, said = start(2, sharded, {**sharded, "kill_at": 8})
    assert codes == [75, -9] and "process 1 of 2 has died" in said
    codes, said = start(1, {"stop_after": 9})
    assert codes == [75] and "SIGTERM after step 9" in said
    assert re.search("Resuming .* after step 5", said)
    codes, said = start(2, sharded, sharded)
    assert codes == [0, 0] and f"Resuming {workdir} after step 9" in said
    assert_same_run(workdir, whole)
    assert a_process.batches(workdir) == a_process.batches(whole)


def test_a_killed_run_ends_bit_for_bit_where_the_other_ends(whole, data_dir, tmp_path):
    """Killed while the checkpoint of step 10 is being written, or right after."""
    workdir = tmp_path / "run"

    def start(*options):
        return a_process.launch(workdir, data_dir, processes=1, devices=4, options=options)

    codes, _ = start({"kill_at": 11})
    assert codes == [-9] and not (workdir / "result.json").exists()
    codes, outputs = start()
    assert codes == [0] and re.search("Resuming .* after step (5|10)[.]", outputs[0])
    kill_and_resume.compare(*(kill_and_resume.outcome(run, data_dir) for run in (whole, workdir)))


ASKING = """
import os, signal, sys, time
from ferjax.distributed import cluster, processes
rank, port = int(sys.argv[1]), sys.argv[2]
with processes.joined(cluster.Place(f"localhost:{port}", 2, rank)):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)  # before anybody has asked
        time.sleep(1)
    for question in range(1, 10_000):  # minutes: no busy machine passes the news on so late
        time.sleep(0.05)
        if processes.stop_agreed():
            print(f"stopped at {question}")
            break
    processes.wait_for_all("stopped")
"""


DYING = """
import os, signal, sys, time
from ferjax.distributed import cluster, liveness, processes
rank, port = int(sys.argv[1]), sys.argv[2]
processes._ABORT_SECONDS = 300.0  # a busy machine may take longer than usual to hear of a death
hear = liveness.Peers._hear
liveness.Peers._hear = lambda self, line: time.sleep(1) or hear(self, line)
with processes.joined(cluster.Place(f"localhost:{port}", 2, rank)):
    processes.wait_for_all("joined")
    if rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
"""


MEETING = """
import sys
from ferjax.distributed import cluster, processes
rank, port = int(sys.argv[1]), sys.argv[2]
with processes.joined(cluster.Place(f"localhost:{port}", 2, rank)):
    print("joined", flush=True)
    processes.wait_for_all("told")
"""


def two_processes(source, repository, *, devices=1):
    """Exit codes and outputs of two processes that run `source` with their rank and a port."""
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", source, str(rank), port],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(repository), "XLA_FLAGS": flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    done = watched.finish(*started)
    return [process.returncode for process in done], [process.stdout for process in done]


def test_all_devices_are_connected_at_once(repository):
    """A collective that connects them later fails if one process comes 30 seconds after another."""
    codes, outputs = two_processes(MEETING, repository, devices=2)
    assert codes == [0, 0], outputs
    for output in outputs:  # Gloo tells of the 3 others of 4 devices
        assert "is connected to 3 peer ranks" in output.partition("joined")[0]


def test_the_death_of_process_0_is_no_abort(repository):
    """JAX's runtime aborts then, maybe before the thread that watches the peers has heard."""
    codes, outputs = two_processes(DYING, repository)
    assert codes == [-9, 75], outputs[1]
    assert "process 0 of 2 has died" in outputs[1]


def test_sigterm_before_the_first_question_is_heard_by_all(repository):
    """As while a run is restored or compiled."""
    codes, outputs = two_processes(ASKING, repository)
    assert codes == [0, 0], outputs
    last = [re.findall("stopped at .*", output) for output in outputs]
    assert last[0] == last[1] and len(last[0]) == 1


def test_different_configs_are_refused_and_an_error_of_one_ends_all(data_dir, tmp_path):
    options = [{"overrides": {"seed": seed}} for seed in (0, 1)]
    codes, outputs = a_process.launch(
        tmp_path / "run", data_dir, processes=2, devices=1, options=options
    )
    assert codes == [2, 2]
    assert "The config" in outputs[1] and "every process needs the same" in outputs[1]
    assert "process 1 of 2 stopped with exit code 2; see its log" in outputs[0]
