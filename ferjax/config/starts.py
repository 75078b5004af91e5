"""Starting weights of a paper's rows: ImageNet weights; fresh ones differ from the paper."""

from __future__ import annotations

from ml_collections import ConfigDict

FILES = (".safetensors", ".npz", ".pth", ".pt")  # endings of files of weights
FROM_SCRATCH = "from scratch: the paper fine-tunes ImageNet weights"


def is_file(path: str) -> bool:
    """Whether `init_from` names a file of weights, by its ending, and not a run directory."""
    return path.endswith(FILES)


def fine_tuned(config: ConfigDict, init_from: str, *, from_scratch: bool) -> None:
    """Sets the starting weights of a run whose paper fine-tunes ImageNet weights.

    Without weights the run is refused when it starts, unless it is to train from scratch; then its
    result records that it differs from the paper.

    Args:
      config: a config made by `fields.defaults`.
      init_from: a run directory or a file of weights; "" if none is given.
      from_scratch: whether fresh weights are allowed.
    """
    config.init_from = init_from
    config.paper_start = "" if from_scratch else "imagenet"
    if from_scratch and not init_from:
        config.departures += (FROM_SCRATCH,)
