"""One exact pass over a split: every example counts once, whatever the batch and the devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from ferjax.data.pipeline.batches import Batch, make_table
from ferjax.data.run_data import RunData
from ferjax.distributed import sharding
from ferjax.evaluation import class_geometry, programs, views
from ferjax.evaluation.programs import States
from ferjax.inference.model_spec import ModelSpec
from ferjax.metrics import Metrics
from ferjax.models.functional import Weights

# metrics[view][group]
Scores = dict[str, dict[str, Metrics]]


class Evaluator:
    """Scores weights of one model; what it compiles is shared by all its passes.

    Args:
      spec: the description of the model.
      mesh: the devices.
      batch_size: images of a batch.

    Raises:
      UserError: a batch that does not split evenly over the devices.
    """

    def __init__(self, spec: ModelSpec, mesh: Mesh, *, batch_size: int):
        sharding.check_batch_size("evaluation.batch_size", batch_size, mesh)
        self.spec = spec
        self.mesh = mesh
        self.batch_size = batch_size
        self._score = programs.scoring(
            spec.abstract(mesh)[0], preprocessing=spec.preprocessing, mesh=mesh
        )

    @functools.cache  # noqa: B019 - an evaluator lives as long as its process
    def step(self, names: tuple[str, ...]) -> Callable[..., States]:
        """`(weights, table, batch, ...) -> states[view][group]`; see `programs.counting`."""
        parts = {name: self.view_parts(name) for name in names}
        return programs.counting(self._score, parts=parts, mesh=self.mesh)

    def view_parts(self, name: str) -> tuple[views.Part, ...]:
        """The images that a test-time view averages over, at a scale that training showed."""
        crop = self.spec.preprocessing.crop
        return views.parts(name, crop=crop, magnified=self.spec.has_magnified_crops)

    def over(
        self,
        data: RunData,
        split: str,
        names: Sequence[str],
        more_groups: Mapping[str, Bool[np.ndarray, " N"]] | None = None,
    ) -> Callable[..., Scores]:
        """`(weights, geometry=None, keep=None) -> metrics[view][group]`; the split is placed once.

        Scored are the groups of `RunData.groups` and `more_groups`, masks of the split's examples;
        groups without an example are left out. A `class_geometry.Accumulator` gets the sums of the
        features of all examples of the split, in the first view; or `keep` gets the predictions for
        each batch (see `programs.counting`).
        """
        groups = {**(more_groups or {}), **data.groups(split)}
        on_device = data.placement(split) == "device"
        table = make_table(data.examples(split), self.mesh) if on_device else None
        count = self.step(tuple(names))

        def run(
            weights: Weights,
            geometry: class_geometry.Accumulator | None = None,
            keep: Callable[[programs.Rows], None] | None = None,
        ) -> Scores:
            add = None if geometry is None else lambda sums: geometry.add(sums[split])
            one = functools.partial(count, weights, table, add=add, keep=keep)
            batches = data.evaluation_batches(split, groups, batch_size=self.batch_size)
            return evaluate(one, batches, names)

        return run


def evaluate(
    count: Callable[[Batch], States],
    batches: Iterable[Batch],
    names: Sequence[str],
) -> Scores:
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
            # The host stays one batch ahead: more batches in flight would fill the devices.
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
    left: States,
    right: States,
) -> States:
    return {
        view: {group: state.merge(right[view][group]) for group, state in groups.items()}
        for view, groups in left.items()
    }
