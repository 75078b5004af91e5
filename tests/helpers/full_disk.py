"""Runs on a disk that is full for a while: a small tmpfs in a mount namespace of its own.

    unshare --map-root-user --mount python -m tests.helpers.full_disk FOLDER DATA_DIR

It exits with 3 where nothing can be mounted.

The disk of "stop" and "continue", which are what train.on_failed_save says, is filled up once the
second checkpoint is whole, and emptied two steps later; that of "read_only" cannot be written at
all. Prints a JSON object: for each of the three the exit code, the steps that have a checkpoint,
what the second start of the run, on a disk with room, ended with, and the steps in metrics.jsonl.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

ROOM = "24m"
FULL, EMPTY, WHOLE = 5, 7, 4  # steps: filled, emptied, and the checkpoint that is to be whole


def mount(folder, access):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},{access}", "tmpfs", folder]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(3)


def exit_code(config, workdir):
    from ferjax.cli import command
    from ferjax.training import sweep

    try:
        command.run(lambda _: sweep.run(config, str(workdir)), argv=["full_disk"])
    except SystemExit as error:
        return error.code


def fill_and_empty(folder, choice, data_dir):
    from ferjax.workdir import writer
    from tests.helpers import tiny

    mount(folder, "rw")
    workdir, ballast = folder / "run", folder / "ballast"
    write_step = writer.Writer.write_step

    def write(self, step, values):
        if step == FULL:
            while not (workdir / "checkpoints" / "last" / str(WHOLE)).exists():
                time.sleep(0.01)
            with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        elif step == EMPTY:
            ballast.unlink(missing_ok=True)
        write_step(self, step, values)

    config = tiny.config(data_dir, train__checkpoint_every_steps=2, train__on_failed_save=choice)
    writer.Writer.write_step = write
    first = exit_code(config, workdir)
    writer.Writer.write_step = write_step
    names = [path.name for path in (workdir / "checkpoints" / "last").iterdir()]
    still_full = exit_code(config, workdir) if ballast.exists() else None
    ballast.unlink(missing_ok=True)
    second = exit_code(config, workdir)
    rows = (workdir / "metrics.jsonl").read_text().splitlines()
    return {
        "first": first,
        "saved": sorted(int(name) for name in names if name.isdigit()),
        "still_full": still_full,
        "second": second,
        "steps": [json.loads(row)["step"] for row in rows if '"kind": "train"' in row],
    }


def main(folder, data_dir):
    from tests.helpers import tiny

    folder = Path(folder)
    seen = {}
    for choice in ("stop", "continue"):
        print(f"--- {choice}", file=sys.stderr)
        seen[choice] = fill_and_empty(folder / choice, choice, data_dir)
    print("--- read_only", file=sys.stderr)
    mount(folder / "read_only", "ro")
    seen["read_only"] = exit_code(tiny.config(data_dir), folder / "read_only")
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
