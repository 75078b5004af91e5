"""One of the processes of a shrunk run, which records the rows of every batch that it holds.

    FERJAX_TEST_PLACE='[2, 0, 12345]' python -m tests.helpers.a_process WORKDIR DATA_DIR [OPTIONS]

The place is the number of processes, that of this one, and the port of the first. OPTIONS are JSON:
`overrides` of the config, `stop_after`, a step after which the process sends itself SIGTERM, and
`kill_at`, a step before which it sends itself SIGKILL, once some checkpoint is whole.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.helpers import watched

REPOSITORY = Path(__file__).resolve().parents[2]


def launch(workdir, data_dir, *, processes, devices, options=()):
    """Starts the processes of a run, waits for them, and returns (exit codes, their outputs).

    `options` of each process, or nothing for all.
    """
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.a_process", str(workdir), str(data_dir)]
            + ([json.dumps(options[rank])] if options else []),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ
            | {
                "FERJAX_TEST_PLACE": json.dumps([processes, rank, port]),
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": flags,
            },
        )
        for rank in range(processes)
    ]
    done = watched.finish(
        *started, signs=lambda: {path.name: path.stat().st_size for path in _rows(workdir)}
    )
    return [process.returncode for process in done], [process.stdout for process in done]


def _rows(workdir):
    """The files to which each process adds the rows of a step."""
    return sorted(Path(workdir).parent.glob(f"{Path(workdir).name}.rows.*"))


def batches(workdir):
    """Step -> the indices and labels of its whole batch, from what all processes recorded.

    Every row of a batch must have been held by one process, and none by two.
    """
    rows = {}
    for path in _rows(workdir):
        for line in path.read_text().splitlines():
            step, start, indices, labels = json.loads(line)
            held = rows.setdefault(step, {})
            for offset, pair in enumerate(zip(indices, labels, strict=True)):
                assert held.setdefault(start + offset, pair) == pair
    for held in rows.values():
        assert sorted(held) == list(range(len(held)))
    return {step: [held[row] for row in sorted(held)] for step, held in sorted(rows.items())}


def main(workdir, data_dir, options="{}"):
    import numpy as np

    gc.disable()  # as tests/conftest.py sets it, for a process that lives for seconds
    from ferjax.cli import command
    from ferjax.distributed.processes import Place, joined
    from ferjax.training import loop, sweep
    from tests.helpers import tiny
    from tests.measure.killed_run import newest_checkpoint

    size, rank, port = json.loads(os.environ["FERJAX_TEST_PLACE"])
    options = json.loads(options)
    overrides = {"dataset__placement": "host", "optimizer__learning_rate": 1e-3}
    config = tiny.config(data_dir, **overrides | options.get("overrides", {}))
    start_up = loop.experiment.Experiment.training_input

    def recorded(run):
        made = start_up(run)

        class Recording(type(made)):
            def __next__(self):
                step = self.position["next_index"] + 1
                batch = super().__next__()
                with open(f"{workdir}.rows.{size}.{rank}", "a") as file:
                    for index, label in zip(
                        batch.indices.addressable_shards,
                        batch.labels.addressable_shards,
                        strict=True,
                    ):
                        values = [np.asarray(shard.data).tolist() for shard in (index, label)]
                        file.write(json.dumps([step, index.index[0].start or 0, *values]) + "\n")
                if step == options.get("stop_after"):
                    os.kill(os.getpid(), signal.SIGTERM)
                if step == options.get("kill_at"):
                    while not newest_checkpoint(workdir):
                        time.sleep(0.05)
                    os.kill(os.getpid(), signal.SIGKILL)
                return batch

        made.__class__ = Recording
        return made

    loop.experiment.Experiment.training_input = recorded

    def run(_):
        place = Place(f"localhost:{port}", size, rank) if size > 1 else None
        with joined(place):
            sweep.run(config, workdir)

    command.run(run, argv=["a_process"])


if __name__ == "__main__":
    main(*sys.argv[1:])
