"""What is known of a finished run before its images are looked at: files of its folder."""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ferjax import filesystem
from ferjax.analysis.figures.curves import Series
from ferjax.config import stored
from ferjax.errors import UserError, one_of
from ferjax.evaluation import finished_runs
from ferjax.evaluation.finished_runs import FinishedRuns
from ferjax.filesystem import Place
from ferjax.workdir import predictions
from ferjax.workdir.metrics_log import read_rows
from ferjax.workdir.predictions import Predictions


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """A finished run.

    Attributes:
      name: what the report calls it.
      view: the test-time view of the headline.
      group: the group of test images of the headline.
      where: its folder.
      config: complete.
      result: the content of result.json.
      finished: the run as comparisons take it.
      series: its learning curves.
      tested: the predictions for its test images.
      selected: those for the split that selected the epoch.
    """

    name: str
    view: str
    group: str
    where: Place
    config: ConfigDict
    result: Mapping[str, Any]
    finished: FinishedRuns
    series: Series
    tested: Predictions
    selected: Predictions

    @property
    def is_optimistic(self) -> bool:
        """Whether the epoch was selected on what is reported, or by another leak."""
        return self.result["protocol"] != "honest"

    @property
    def collapse(self) -> str:
        """The warning that the model does no better than class frequencies; "" without one."""
        said = [
            one["message"] for one in self.result.get("warnings", ()) if one["kind"] == "collapsed"
        ]
        return said[0] if said else ""


def read(workdir: str, name: str, view: str | None = None, group: str | None = None) -> RunFacts:
    """Reads the files of a finished run.

    Args:
      workdir: its folder.
      name: what the report calls it.
      view: the test-time view of the headline; flip by default where there is one.
      group: the group of test images of the headline; all by default.

    Raises:
      UserError: there is none, it is damaged, or of an older version that kept no predictions; or
        it was not tested in this view, or on this group.
    """
    place = filesystem.of(workdir)
    runs = finished_runs.load(name, [place], stored.of_run)
    (unit,) = runs.units
    if len(unit) != 1:
        raise UserError(
            f"{workdir} holds the runs of {len(unit)} folds; a report is about one run or some: "
            "name their folders."
        )
    config, result = unit[0].config, unit[0].result
    split = config.protocol.selection
    if split not in result["predictions"]:
        raise UserError(
            f"{workdir}/result.json names no predictions for the {split} split: restore it from a "
            "copy."
        )
    tested = result["test"]
    view = view or ("flip" if "flip" in tested else next(iter(tested)))
    one_of(f"The view of {workdir}", view, tuple(tested))
    group = group or unit[0].tested.split
    one_of(f"The group of images of {workdir}", group, tuple(tested[view]))
    return RunFacts(
        name=name,
        view=view,
        group=group,
        where=place,
        config=config,
        result=result,
        finished=runs,
        series=_series(place),
        tested=unit[0].tested,
        selected=predictions.read(place, split, result["predictions"][split]["sha256"]),
    )


def names(workdirs: list[str]) -> list[str]:
    """A short name for each folder, of its last parts, as many as tell them apart."""
    parts = [
        [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
        for text in workdirs
    ]
    most = max(map(len, parts), default=1)
    for number in range(1, most + 1):
        found = ["/".join(one[-number:]) for one in parts]
        says_little = any(re.fullmatch(r"(seed|fold)_\d+", one) for one in found)
        if len(set(found)) == len(found) and (number == most or not says_little):
            return found
    raise UserError("A run is named twice; name each once.")


def _series(place: Place) -> Series:
    """The learning curves in metrics.jsonl; an epoch that is missing has None."""
    try:
        rows = [row for _, row in read_rows(place / "metrics.jsonl")]
    except OSError:
        return {}
    epochs = [row for row in rows if row["kind"] == "epoch"]
    last = max((row["epoch"] for row in epochs), default=0)
    if not last:  # a run that trains nothing measures its weights as epoch 0
        return {}
    found: dict[str, list[float | None]] = {}
    for quantity in ("loss", "accuracy"):
        for prefix in ("", "validation_", "optimistic_"):
            values = {row["epoch"]: row.get(prefix + quantity) for row in epochs}
            if any(value is not None for value in values.values()):
                key = f"selection_{quantity}" if prefix else quantity
                found[key] = [values.get(epoch) for epoch in range(1, last + 1)]
    entropy = _training_entropy(rows, epochs)
    if entropy:
        found["loss"] = [entropy.get(epoch) for epoch in range(1, last + 1)]
    return found


def _training_entropy(
    rows: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]
) -> dict[int, float]:
    """Epoch -> mean cross-entropy of its steps, where the loss has other parts, too."""
    ends = [row["step"] for row in epochs]
    values: dict[int, list[float]] = {}
    for row in rows:
        if row["kind"] == "train" and row.get("softmax_loss") is not None:
            at = bisect.bisect_left(ends, row["step"])
            values.setdefault(at, []).append(row["softmax_loss"])
    return {
        row["epoch"]: float(np.mean(values[at])) for at, row in enumerate(epochs) if at in values
    }
