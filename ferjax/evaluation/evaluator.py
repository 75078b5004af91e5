"""One exact pass over a split: every example counts once, whatever the batch and the devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import jax

from ferjax.data.pipeline.batches import Batch
from ferjax.metrics import ConfusionState, Metrics

# view -> group of examples -> counts
States = dict[str, dict[str, ConfusionState]]


def evaluate(
    count: Callable[[Batch], States],
    batches: Iterable[Batch],
    names: Sequence[str],
) -> dict[str, dict[str, Metrics]]:
    """Counts every batch and computes the metrics of each view of each group of examples.

    Args:
      count: the compiled evaluation step with weights and data bound.
      batches: one pass, from `batches.evaluation_batches`.
      names: the views, in the order of the result.

    Returns:
      metrics[view][group], without groups that have no example.

    Raises:
      ValueError: no batches.
    """
    total: States | None = None
    for batch in batches:
        states = count(batch)
        if total is not None:
            # The host stays one batch ahead: what more were in flight would fill the devices.
            jax.block_until_ready(total)
        total = states if total is None else _merge(total, states)
    if total is None:
        raise ValueError("there is nothing to evaluate: the split has no examples")
    total = jax.device_get(total)
    return {
        view: {
            group: state.compute() for group, state in total[view].items() if state.confusion.any()
        }
        for view in names
    }


def _merge(
    left: Mapping[str, Mapping[str, ConfusionState]],
    right: Mapping[str, Mapping[str, ConfusionState]],
) -> States:
    return {
        view: {group: state.merge(right[view][group]) for group, state in groups.items()}
        for view, groups in left.items()
    }
