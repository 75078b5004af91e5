"""What the runs of a table are expected to cost, from the rates of runs that are finished."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from ml_collections import ConfigDict

from ferjax import models
from ferjax.data import catalog, known_sizes
from ferjax.data.options import known
from ferjax.reproduce import planned_result
from ferjax.reproduce.paper_runs import PlannedRow
from ferjax.reproduce.study import Run


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of a run.

    Attributes:
      run: the run.
      images: images that it trains on, over all epochs; None if the size of its data is unknown.
      rate: images/s expected; None where no run like it was measured.
      is_done: whether the run itself is finished.
    """

    run: Run
    images: int | None
    rate: float | None
    is_done: bool

    @property
    def seconds(self) -> float | None:
        """Seconds that are still to come."""
        if self.is_done or self.images == 0:
            return 0.0
        return None if self.images is None or not self.rate else self.images / self.rate


def expected(rows: Sequence[PlannedRow], given_rate: float | None = None) -> list[Cost]:
    """The cost of every run, without any data set.

    The rate is that of the last finished run here of the same network, batch and augmentation;
    failing that `given_rate`.

    Raises:
      UserError: files of a finished run are damaged.
    """
    rates: dict[str, tuple[str, float]] = {}
    done = set()
    for row in rows:
        for run in row.runs:
            result = planned_result.read(run, lambda _: None)
            if result is None:
                continue
            done.add(run.folder)
            found = result.get("finished", ""), result["cost"]["images_per_second"]
            if found[1] > 0:
                key = _kind(run.config)
                rates[key] = max(rates.get(key, found), found)
    made = []
    for row in rows:
        for run in row.runs:
            _, rate = rates.get(_kind(run.config), ("", given_rate))
            made.append(Cost(run, _images(run.config), rate, run.folder in done))
    return made


def _kind(config: ConfigDict) -> str:
    """What decides how fast a run trains."""
    parts = {
        "model": config.model.to_dict(),
        "batch": config.train.batch_size,
        "augment": config.augment.to_dict(),
    }
    return json.dumps(parts, sort_keys=True)


def _images(config: ConfigDict) -> int | None:
    spec = catalog.find(config.dataset.name)
    options = {**known(spec.name), **config.dataset.options.to_dict()}
    number = known_sizes.num_train(spec, options)
    if number is None:
        return None
    batch = config.train.batch_size
    trained = models.model_class(config.model.name).is_trainable  # late fusion is not
    return number // batch * batch * config.train.num_epochs if trained else 0
