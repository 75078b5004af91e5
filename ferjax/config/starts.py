"""What the rows of a paper start from: ImageNet weights, or fresh ones, which are no row of it."""

from __future__ import annotations

from ml_collections import ConfigDict

FILES = (".safetensors", ".npz", ".pth", ".pt")  # what a file of weights may end in
FROM_SCRATCH = "from scratch: the paper fine-tunes ImageNet weights"


def is_file(path: str) -> bool:
    """Whether `init_from` names a file of weights, by its ending, and not a run directory."""
    return path.endswith(FILES)


def fine_tuned(config: ConfigDict, init_from: str, *, from_scratch: bool) -> None:
    """Sets what a run of a paper that fine-tunes ImageNet weights starts from.

    Without weights the run is refused when it starts, unless it is to train from scratch; then its
    result says that it is no row of the paper.

    Args:
      config: from `defaults`.
      init_from: a run directory or a file of weights; "" where none is given.
      from_scratch: whether fresh weights will do.
    """
    config.init_from = init_from
    config.paper_start = "" if from_scratch else "imagenet"
    if from_scratch and not init_from:
        config.departures += (FROM_SCRATCH,)
