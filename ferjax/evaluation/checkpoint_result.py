"""The scores of a checkpoint, with what they are about and how honest they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ferjax.errors import UserError
from ferjax.evaluation.described import DescribedMetrics
from ferjax.evaluation.evaluator import Scores
from ferjax.inference.trained_model import TrainedModel

FORMAT = 2


@dataclasses.dataclass(frozen=True)
class CheckpointScores:
    """The result of an evaluation.

    Attributes:
      scores: metrics[view][group], with those of `evaluation.described`.
      group: the group of all examples: the split, or "all".
      about: the data, as JSON. Of a data set: dataset, options, fingerprint. Of class folders:
        images, counts, scored, unreadable, remarks. Of both, if they are not the run's data set:
        trained_on, label_map, dropped, note (sentences that the user has to know) and warnings.
      where: the data and the split, for a title.
      protocol: the label, "honest" or "optimistic".
      remark: why the scores are optimistic; "" if they are honest.
    """

    scores: dict[str, dict[str, DescribedMetrics]]
    group: str
    about: dict[str, Any]
    where: str
    protocol: str
    remark: str

    def to_json(self, *, checkpoint: str, labels: Sequence[str]) -> dict[str, Any]:
        """The object that `ferjax.evaluate --json` writes."""
        return {
            "format": FORMAT,
            **self.about,
            "protocol": self.protocol,
            "remark": self.remark,
            **({} if "images" in self.about else {"split": self.group}),
            "checkpoint": checkpoint,
            "labels": list(labels),
            "scores": self.scores,
        }


def check_finite(scores: Scores, trained: TrainedModel, what: str) -> None:
    """Refuses scores of probabilities that are not finite, whose loss is not finite either."""
    for view, groups in scores.items():
        if not all(math.isfinite(numbers["loss"]) for numbers in groups.values()):
            raise UserError(
                f"The probabilities of images of {what} are not finite ({view}): the weights or "
                f"the preprocessing of the checkpoint in {trained.where} are damaged. Restore it "
                "from a copy, or train again in an empty workdir."
            )
