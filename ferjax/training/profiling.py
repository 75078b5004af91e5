"""A trace of some training steps, for TensorBoard and XProf."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from ferjax import filesystem
from ferjax.cli import output
from ferjax.errors import UserError
from ferjax.filesystem import Place


class Profile:
    """Traces steps `first` to `last` of a run, both included.

    The trace lies in `WORKDIR/tensorboard/plugins/profile`, where `tensorboard --logdir` finds it
    with the plugin `xprof`.

    Args:
      steps: "FIRST:LAST", 1-based; None for no trace.
      workdir: the run directory.
      traces: whether this process makes the trace.

    Raises:
      UserError: `steps` is something else.
    """

    def __init__(self, steps: str | None, workdir: Place, *, traces: bool = True):
        self._folder = workdir / "tensorboard"
        self._local = Path()
        self._text = steps
        self._first, self._last = (0, 0) if steps is None else parse_steps(steps)
        self._traces = traces
        self._running = False

    def check(self, num_steps: int) -> None:
        """Raises a UserError for steps that a run of `num_steps` does not have."""
        if self._last > num_steps:
            raise UserError(
                f"--profile_steps is {self._text!r}, and the run has {num_steps} steps; name some "
                "of them."
            )

    def missed(self, step: int) -> str:
        """A sentence for a run that goes on after `step` and so makes no trace, or ""."""
        made = 1 <= self._first <= step
        return f"--profile_steps={self._text} begins before that: no trace is made." if made else ""

    @contextlib.contextmanager
    def step(self, step: int) -> Iterator[None]:
        """Marks the work that is sent to the devices inside the block as step number `step`."""
        if self._traces and step == self._first:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # it would hide the steps among millions of calls
            remote = filesystem.is_remote(self._folder)  # JAX's profiler writes local files alone
            self._local = Path(tempfile.mkdtemp(prefix="ferjax-") if remote else self._folder)
            jax.profiler.start_trace(str(self._local), profiler_options=options)
            self._running = True
        with jax.profiler.StepTraceAnnotation("train", step_num=step):
            yield

    def after(self, step: int, values: Any) -> None:
        """Call this after the block; the end of a trace waits for `values`, results of the step."""
        if self._running and step == self._last:
            jax.block_until_ready(values)
            self.close()

    def close(self) -> None:
        """Writes a trace that is still running, for example when the run ends within it.

        A trace that cannot be written is reported, and the run continues.
        """
        if not self._running:
            return
        self._running = False
        try:
            jax.profiler.stop_trace()
            if self._local != self._folder:
                for file in filter(Path.is_file, self._local.rglob("*")):
                    filesystem.put(file, self._folder / file.relative_to(self._local).as_posix())
                shutil.rmtree(self._local)
        except (OSError, RuntimeError) as error:
            output.say(f"The trace cannot be written to {self._folder}: {error}", file=sys.stderr)


def parse_steps(text: str) -> tuple[int, int]:
    """(first, last) of "FIRST:LAST".

    Raises:
      UserError: it is something else, or empty.
    """
    found = re.fullmatch(r"(\d+):(\d+)", text)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= first <= last:
        raise UserError(
            f"--profile_steps is {text!r}; expected FIRST:LAST, steps of the run counted from 1, "
            "such as 11:15."
        )
    return first, last
