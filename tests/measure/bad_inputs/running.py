"""Runs one case and judges the answer."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.measure.bad_inputs import shared
from tests.measure.bad_inputs.case import Case, Stage

MODULES = {
    "main": "ferjax.main",
    "predict": "ferjax.predict",
    "evaluate": "ferjax.evaluate",
    "prepare": "ferjax.data.prepare.__main__",
    "audit": "ferjax.data.audit.__main__",
    "benchmark": "ferjax.benchmark",
    "aot": "ferjax.aot",
}
# What the commands import once their flags are parsed; it takes longer than most of their answers.
_IMPORTED = (
    "ferjax.training.sweep",
    "ferjax.evaluation.checkpoint_scores",
    "ferjax.data.prepare.preparation",
    "ferjax.data.audit.report",
)
# Terminals act on these; a newline and a tab are what the commands print themselves.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PROGRESS = re.compile(r"\r")


@dataclass(frozen=True)
class Answer:
    """What a command did.

    Attributes:
      verdict: "ok", "unclear" (another message or exit code than expected), "silent" (accepted
        where it had to be refused), "traceback", "hang" or "unsafe".
      why: one line about a verdict that is not "ok".
      output: stdout and stderr.
    """

    verdict: str
    why: str
    output: str


def prepare(folder: Path) -> None:
    """Imports what the commands need, once, in the environment of the folder of `shared.make`."""
    os.environ.update(shared.environment(folder))
    for module in (*MODULES.values(), *_IMPORTED):
        importlib.import_module(module)


def run(case: Case, folder: Path, *, patience: float) -> Answer:
    """Makes the input of a case in a new folder, runs its command there and judges the answer.

    Args:
      case: the case.
      folder: the folder of `shared.make`.
      patience: seconds after which the command counts as one that hangs.
    """
    here = folder / "cases" / case.name
    _remove(here)
    here.mkdir(parents=True)
    stage = Stage(here, folder)
    command = [str(part) for part in case.make(stage)]
    start = _process if case.process or case.shell else _fork
    code, output = start(command, case, stage, patience)
    verdict, why = _judge(case, stage, code, output)
    (here / "output.txt").write_text(output, errors="backslashreplace")
    if verdict == "ok":
        _remove(here)
    return Answer(verdict, why, output)


def _judge(case: Case, stage: Stage, code: int | None, output: str) -> tuple[str, str]:
    if case.check is not None:
        try:
            case.check(stage)
        except AssertionError as error:
            return "unsafe", str(error)
    raw = _CONTROLS.search(_PROGRESS.sub("", output))
    if raw:
        return "unsafe", f"the terminal gets {raw.group()!r}"
    if code is None:
        return "hang", "it had to be killed"
    if code == 70 or "Traceback (most recent call last)" in output:
        return "traceback", _last(output)
    if code != case.code:
        verdict = "silent" if code == 0 else "unclear"
        return verdict, f"exit code {code}, expected {case.code}: {_last(output)}"
    # Tables and long messages are wrapped.
    joined = " ".join(output.split())
    for text in case.says:
        if " ".join(text.split()) not in joined:
            return "unclear", f"it does not say {text!r}: {_last(output)}"
    for text in case.never:
        if " ".join(text.split()) in joined:
            return "unclear", f"it says {text!r}: {_last(output)}"
    if case.code == 2 and output.count("error: ") != 1:
        return "unclear", f"{output.count('error: ')} errors: {_last(output)}"
    return "ok", ""


def _last(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1][:300] if lines else "(nothing is said)"


def _environment(case: Case, stage: Stage) -> dict[str, str]:
    return os.environ | shared.environment(stage.shared) | dict(case.env)


def _process(
    command: Sequence[str], case: Case, stage: Stage, patience: float
) -> tuple[int | None, str]:
    module = MODULES[command[0]].removesuffix(".__main__")
    shell = ["bash", "-c", case.shell, "bash"] if case.shell else []
    try:
        done = subprocess.run(
            [*shell, sys.executable, "-m", module, *command[1:]],
            cwd=stage.here,
            env=_environment(case, stage),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return None, (error.output or b"").decode(errors="surrogateescape")
    return done.returncode, done.stdout.decode(errors="surrogateescape")


def _fork(
    command: Sequence[str], case: Case, stage: Stage, patience: float
) -> tuple[int | None, str]:
    written = stage.here.with_suffix(".output")
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that JAX has threads; none is started before the fork
        child = os.fork()
    if child == 0:
        code = 70
        try:
            file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(file, 1)
            os.dup2(file, 2)
            os.environ.update(_environment(case, stage))
            os.chdir(stage.here)
            sys.path.insert(0, str(stage.here))  # as `python -m` does
            sys.argv = list(command)  # where ml_collections looks for overrides
            _command(command)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = _wait(child, patience)
    output = written.read_bytes().decode(errors="surrogateescape")
    written.unlink()
    return code, output


def _command(command: Sequence[str]) -> None:
    from ferjax.cli import command as commands

    module = importlib.import_module(MODULES[command[0]])
    sys.argv = list(command)  # where ml_collections looks for fields of the config
    commands.run(module.main, flag_values=module.FLAGS, argv=list(command))


def _wait(child: int, patience: float) -> int | None:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _remove(folder: Path) -> None:
    """Removes the folder of a case, whatever the permissions in it are."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
