"""The test of a run's weights: scores, temperatures, and the predictions that are kept.

The split that selected the epoch is read, too, in the same views: a temperature is fitted on it, so
that nothing is fitted on the test split. Where a paper selected on the split that it reports, the
scores are not given after the temperature.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ferjax.distributed import processes
from ferjax.evaluation import described
from ferjax.evaluation.described import DescribedMetrics
from ferjax.evaluation.evaluator import Scores
from ferjax.models.functional import Weights
from ferjax.training.experiment import Experiment
from ferjax.workdir import predictions
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.predictions import Predictions


class Tested(NamedTuple):
    """The result of `test`.

    Attributes:
      scores: metrics[view][group] of the split that is reported.
      temperature: of each view.
      predictions: for the split that selected and the one that is reported, by name.
    """

    scores: dict[str, dict[str, DescribedMetrics]]
    temperature: dict[str, float]
    predictions: dict[str, Predictions]

    def stored(self, directory: RunDirectory, suffix: str = "") -> dict[str, Any]:
        """`temperature` and `predictions` for result.json; the main process writes the latter.

        Args:
          directory: the run directory, which is claimed.
          suffix: of the names of the files.
        """
        files: dict[str, dict[str, str]] = {}
        if processes.is_main():
            directory.check_held()  # another process's result.json must keep its predictions
            for split, found in self.predictions.items():
                files[split] = predictions.write(directory.path, split + suffix, found)
        return {"temperature": self.temperature, "predictions": files}


def test(run: Experiment, weights: Weights) -> Tested:
    """Scores weights in all test views of the run; reads the test split."""
    protocol = run.protocol
    passes = {
        split: _passed(run, weights, split)
        for split in dict.fromkeys((protocol.selection, protocol.test))
    }
    scores, tested = passes[protocol.test]
    fitted = described.temperatures(passes[protocol.selection][1])
    is_fair = protocol.selection != protocol.test
    return Tested(
        scores=described.described(scores, tested, fitted if is_fair else {}),
        temperature={view: fitted[view] for view in scores},  # in the order of the views
        predictions={split: kept for split, (_, kept) in passes.items()},
    )


def _passed(run: Experiment, weights: Weights, split: str) -> tuple[Scores, Predictions]:
    views = tuple(run.config.evaluation.test_views)
    return described.passed(run.evaluator, weights, run.data, split, views)
