"""One bad input: how it is made, the command that gets it, and the answer that is expected."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COMMANDS = ("main", "predict", "evaluate", "prepare", "audit", "benchmark", "aot")
CANARY = "not yours"


@dataclass(frozen=True)
class Stage:
    """The folders of one case.

    Attributes:
      here: an empty folder of the case, in which the command starts.
      shared: what all cases read and none changes: `images` (a folder of 80 images of 16x16 in two
        classes, happy and sad), `data` (the same, prepared as image_folder `mine`) and `tiny` (a
        finished run on it). See `shared.py`.
    """

    here: Path
    shared: Path

    def run(self, name: str = "run") -> Path:
        """A copy of the finished run, for the case to damage."""
        return Path(shutil.copytree(self.shared / "tiny", self.here / name, symlinks=True))

    def data(self, name: str = "data") -> Path:
        """A copy of the folder of prepared data, for the case to damage."""
        return Path(shutil.copytree(self.shared / "data", self.here / name, symlinks=True))

    def outside(self, name: str = "outside") -> Path:
        """A file that no command may change; `unharmed` compares it."""
        path = self.here / name
        path.write_text(CANARY)
        return path


def unharmed(stage: Stage) -> None:
    """Raises AssertionError if the file of `Stage.outside` has changed."""
    outside = stage.here / "outside"
    assert outside.is_file() and outside.read_text() == CANARY, f"{outside.name} has changed"


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
      name: GROUP.NAME, unique.
      what: the input in words.
      make: makes the input in `Stage.here` and returns the command line: one of COMMANDS and its
        arguments, with paths relative to `here`.
      code: the exit code that is expected.
      says: texts that stdout or stderr must have.
      never: texts that neither may have.
      check: raises AssertionError if the command did harm; the case is then unsafe.
      env: added to the environment.
      process: run the real command line in a process of its own, for what happens before or outside
        of `command.run`; otherwise a fork runs it, which saves the imports.
      shell: a line for bash that starts this process, in which "$@" is the command, as in
        `"$@" | head -c 1`.
    """

    name: str
    what: str
    make: Callable[[Stage], Sequence[object]]
    code: int = 2
    says: Sequence[str] = ()
    never: Sequence[str] = ()
    check: Callable[[Stage], None] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    process: bool = False
    shell: str = ""

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]
