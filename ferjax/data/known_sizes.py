"""The size of a data set before it is there: for costs, and to compile without reading it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferjax.data import catalog


def num_train(spec: catalog.DatasetSpec, options: Mapping[str, Any]) -> int | None:
    """The number of training examples, up to the rounding of random splits; None if unknown.

    Args:
      spec: the data set.
      options: all its options.
    """
    if "num_train" in options:
        return options["num_train"]
    if spec.expected_counts is None:
        return None
    (stored,) = (
        spec.expected_counts[name] for name in ("train", "whole") if name in spec.expected_counts
    )
    total = stored if isinstance(stored, int) else sum(stored)
    if spec.scheme == "held_out":
        return round(total * (1.0 - options["held_out"]))
    if spec.scheme == "folds":
        return total * (8 if options["validation_fold"] else 9) // 10
    return total
