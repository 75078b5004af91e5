"""Facial-expression recognition in JAX: train, compare, trust and ship models that read a face.

`ferjax.load(workdir)` gives the classifier of a finished run; the commands are `python -m
ferjax.main`, `.evaluate`, `.predict`, `.benchmark` and `.data.prepare`. Importing the package
imports nothing else; what is heavy is loaded when it is first used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ferjax.inference.classifier import Classifier

__all__ = ["load"]


def load(workdir: str | os.PathLike[str], *, checkpoint: str = "best") -> Classifier:
    """The classifier of a run.

    Args:
      workdir: the run directory of `ferjax.main`.
      checkpoint: "best" (by validation) or "last".

    Returns:
      `classifier(images)` with images as uint8 arrays or as paths; see `Classifier`.

    Raises:
      ferjax.errors.UserError: the folder is no run, or holds no checkpoint that can be read.
    """
    from ferjax.inference.trained_model import TrainedModel

    return TrainedModel.load(workdir, checkpoint).classifier()
