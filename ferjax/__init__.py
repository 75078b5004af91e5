"""Facial-expression recognition in JAX: train, compare, trust and ship models that read a face.

`ferjax.load("fer2013-small")` gives a trained classifier, `ferjax.load(workdir)` that of a finished
run; the commands are `python -m ferjax.main`, `.evaluate`, `.predict`, `.benchmark`, `.models` and
`.data.prepare`. Importing the package imports nothing else; what is heavy is loaded when it is
first used.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from ferjax.distributed import forks as forks  # hears of every fork from now on

if TYPE_CHECKING:
    from ferjax.inference.classifier import Classifier

__all__ = ["load"]


def _say_interrupted(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """A stop from the keyboard, while a command still imports, is no error with a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted from the keyboard", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _interrupt_again(found: Any) -> None:
    """A stop from the keyboard within a callback, where Python only prints it, comes once more."""
    if issubclass(found.exc_type, KeyboardInterrupt):
        # After the callback, whose end the main thread is at.
        main = threading.main_thread().ident
        again = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(found)


# While `python -m ferjax...` looks for the command, before the command's own handling begins.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _say_interrupted
    sys.unraisablehook = _interrupt_again


def load(workdir: str | os.PathLike[str], *, checkpoint: str = "best") -> Classifier:
    """The classifier of a run, or of a model that is there already.

    Args:
      workdir: the run directory of `ferjax.main`; or the file of a packed model, which ends in
        .safetensors; or the name of a model that `python -m ferjax.models` lists.
      checkpoint: of a run, "best" (by validation) or "last".

    Returns:
      `classifier(images)` with crops of faces as uint8 arrays or as paths, and
      `classifier.faces(photo)`; see `Classifier`.

    Raises:
      ferjax.errors.UserError: there is no such run, file or name, or one that cannot be read or is
        damaged; or files of two runs.
    """
    from ferjax.errors import UserError
    from ferjax.inference import loading

    if not isinstance(workdir, str | os.PathLike):
        raise UserError(
            f"workdir is {workdir!r}; expected the path of a run directory, or the name of a model."
        )
    found = loading.ready(workdir, checkpoint)
    if found is None:  # a run; what reads it takes long to import
        from ferjax.config import stored
        from ferjax.inference.trained_model import TrainedModel
        from ferjax.workdir.directory import RunDirectory

        config = stored.of_run_or_none(RunDirectory(workdir))
        found = TrainedModel.load(workdir, checkpoint, config=config)
    return found.classifier()
