"""Scores of a run's checkpoint on its own data set or on another, and how honest they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax.data import label_maps
from ferjax.data.audit.clean_index import read_clean_index
from ferjax.data.dataset import Source, open_dataset
from ferjax.data.label_maps import LabelMap
from ferjax.data.options import parse
from ferjax.data.run_data import RunData
from ferjax.data.splits import splitters
from ferjax.errors import UserError
from ferjax.evaluation import cross_dataset
from ferjax.evaluation.evaluator import Evaluator, Scores
from ferjax.evaluation.protocol import Protocol
from ferjax.filesystem import SCHEME, is_remote
from ferjax.inference.trained_model import TrainedModel
from ferjax.workdir.directory import RunDirectory

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class CheckpointScores:
    """The result of an evaluation.

    Attributes:
      scores: metrics[view][group].
      about: the data set, as JSON: dataset, options, fingerprint; for another data set than the
        run's also trained_on, label_map, dropped and note (see `cross_dataset.CrossScores`).
      where: the data and the split, for a title.
      protocol: the label, "honest" or "optimistic".
      remark: why the scores are optimistic; "" if they are honest.
    """

    scores: Scores
    about: dict[str, Any]
    where: str
    protocol: str
    remark: str

    def to_json(self, *, split: str, checkpoint: str, labels: Sequence[str]) -> dict[str, Any]:
        """The object that `ferjax.evaluate --json` writes."""
        return {
            "format": FORMAT,
            **self.about,
            "protocol": self.protocol,
            "split": split,
            "checkpoint": checkpoint,
            "labels": list(labels),
            "scores": self.scores,
        }


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run whose checkpoint is evaluated.

    Attributes:
      trained: its model.
      config: the run's, complete.
      started_from: this field of its result.json.
    """

    trained: TrainedModel
    config: ConfigDict
    started_from: Sequence[Mapping[str, Any]]

    @classmethod
    def open(cls, directory: RunDirectory, config: ConfigDict, checkpoint: str) -> FinishedRun:
        """Reads a run, and writes nothing.

        Args:
          directory: of the run.
          config: of the run, complete.
          checkpoint: "best" or "last".

        Raises:
          UserError: a file of the run is missing or damaged, or two of them are not of one run.
        """
        trained = TrainedModel.load(directory.path, checkpoint, config=config)
        result = directory.result() or {}
        return cls(trained, config, result.get("started_from", ()))

    def on_own_data(
        self,
        split: str,
        views: Sequence[str],
        *,
        data_dir: str | None = None,
        batch_size: int | None = None,
        clean_index: str | None = None,
    ) -> CheckpointScores:
        """Evaluates on a split of the data set of the run.

        Args:
          split: "train", "validation", "test" or "validation+test".
          views: see `evaluation.views`.
          data_dir: where the data set is; the run's by default, for reading alone.
          batch_size: images of a batch; the run's by default.
          clean_index: a file of `ferjax.data.audit`; its images without near duplicates are scored,
            too.

        Raises:
          UserError: the data set is not there, or not the one that the run was trained on; or the
            probabilities are not finite.
        """
        data, trained, protocol = self._data(data_dir), self.trained, self._protocol
        evaluator = self._evaluator(batch_size)
        trained.spec.check_same_data(data.source, trained.where)
        groups = {}
        if clean_index:
            near = "test_clean_near"
            groups = {near: read_clean_index(clean_index, data.source)[near]}
        scores = evaluator.over(data, split, views, groups)(trained.weights)
        _check_finite(scores, trained, f"the {split} split")
        label, remark = protocol.label, protocol.remark
        if not remark:
            label, remark = own_split(split, protocol.selection)
        about = {
            "dataset": trained.spec.dataset,
            "options": data.source.options,
            "fingerprint": trained.spec.fingerprint,
        }
        return CheckpointScores(scores, about, split, label, remark)

    def on_other_data(
        self,
        dataset: str,
        split: str,
        views: Sequence[str],
        *,
        label_map: str | None,
        options: Sequence[str] = (),
        unmapped: str = "refuse",
        data_dir: str | None = None,
        batch_size: int | None = None,
    ) -> CheckpointScores:
        """Evaluates on a split of another data set.

        Args:
          dataset: its name.
          split: the name of its split.
          views: see `evaluation.views`.
          label_map: the map of its classes to the model's (see `label_maps.parse`).
          options: options of the data set, such as "fold=3".
          unmapped: "refuse" or "drop" examples of classes that the model does not have.
          data_dir: where the data set is; by default the folder of the run's data set, for reading
            alone.
          batch_size: images of a batch; the run's by default.

        Raises:
          UserError: see `cross_dataset.score`; or there is no map of the classes.
        """
        own, source = self._other(dataset, data_dir, options)
        mapped = _mapped(label_map, source, self.trained.spec.labels)
        found = cross_dataset.score(
            cross_dataset.ScoredModel(
                trained=self.trained,
                evaluator=self._evaluator(batch_size),
                data=own,
                selection=self._protocol.selection,
                started_from=self.started_from,
            ),
            source,
            split,
            mapped,
            views,
            unmapped=unmapped,
            num_threads=own.num_threads,
        )
        _check_finite(found.scores, self.trained, f"the {split} split of {dataset}")
        about = {
            "dataset": source.name,
            "options": source.options,
            "fingerprint": source.fingerprint,
            "trained_on": self.trained.spec.dataset,
            "label_map": mapped.describe(),
            "dropped": found.dropped,
            "note": found.note,
        }
        given = ", ".join(f"{name}={value}" for name, value in source.options.items())
        where = f"{dataset} {split}" + (f" ({given})" if given else "")
        protocol = self._protocol
        return CheckpointScores(found.scores, about, where, protocol.label, protocol.remark)

    @property
    def _protocol(self) -> Protocol:
        leak = splitters.leak(self.config.dataset.options.to_dict())
        return Protocol(**self.config.protocol.to_dict(), leak=leak)

    def _other(
        self, dataset: str, data_dir: str | None, options: Sequence[str]
    ) -> tuple[RunData, Source]:
        """The data set of the run, which need not be there, and another one."""
        own = self._data(data_dir if self._strange_bucket else None)
        source = open_dataset(
            dataset,
            data_dir or own.data_dir or None,
            makes_data=own.makes_data or bool(data_dir),
            **parse(dataset, options),
        )
        return own, source

    @property
    def _strange_bucket(self) -> bool:
        """Whether the config names a bucket that the user did not name with the workdir."""
        own, workdir = self.config.dataset.data_dir, str(self.trained.where)
        return is_remote(own) and _bucket(own) != _bucket(workdir)

    def _data(self, data_dir: str | None) -> RunData:
        """The data set of the run; it is not opened yet.

        What a config.json of a stranger names is read alone: nothing is made there, and no bucket
        of it is asked.

        Raises:
          UserError: the config names a bucket, and the user names no `data_dir`.
        """
        fields = self.config.dataset.to_dict()
        if data_dir:
            return RunData(self.trained.mesh, **fields | {"data_dir": data_dir})
        if self._strange_bucket:
            raise UserError(
                f"The config.json of {self.trained.where} names the data folder "
                f"{fields['data_dir']}, in a bucket that you did not name. Pass it as --data_dir "
                "to have it read, or name the folder of your own copy."
            )
        return RunData(self.trained.mesh, **fields, makes_data=not fields["data_dir"])

    def _evaluator(self, batch_size: int | None) -> Evaluator:
        own = self.config.evaluation.batch_size
        if batch_size is not None and self.trained.spec.depends_on_batch:
            raise UserError(
                "This model was made with tokens=batch: its scores depend on the size of the "
                f"batches, which was {own}; leave --batch_size out."
            )
        size = own if batch_size is None else batch_size
        return Evaluator(self.trained.spec, self.trained.mesh, batch_size=size)


def _mapped(text: str | None, source: Source, labels: tuple[str, ...]) -> LabelMap:
    """The map of a data set's classes to a model's classes; it is never guessed."""
    if text is None:
        raise UserError(
            f"The model knows the classes {', '.join(labels)}, and {source.name} has "
            f"{', '.join(source.labels.names)}: say how they belong together, by what the "
            "names mean with --label_map=emotions, or class by class with "
            "--label_map=theirs=ours,..."
        )
    return label_maps.parse(text, source.labels.names, labels)


def _check_finite(scores: Scores, trained: TrainedModel, what: str) -> None:
    """Refuses scores of probabilities that are not finite, whose loss is not finite either."""
    for view, groups in scores.items():
        if not all(math.isfinite(numbers["loss"]) for numbers in groups.values()):
            raise UserError(
                f"The probabilities of images of {what} are not finite ({view}): the weights or "
                f"the preprocessing of the checkpoint in {trained.where} are damaged. Restore it "
                "from a copy, or train again in an empty workdir."
            )


def _bucket(path: str) -> str:
    """The bucket of a remote path, "" of a local one."""
    return path.removeprefix(SCHEME).partition("/")[0] if is_remote(path) else ""


def own_split(split: str, selection: str) -> tuple[str, str]:
    """The label of an honest run's score on a split of its data, and why if optimistic.

    Args:
      split: "test", or splits joined by "+".
      selection: the splits that selected the model.
    """
    seen = [name for name in split.split("+") if name in ("train", *selection.split("+"))]
    if not seen:
        return "honest", ""
    return "optimistic", f"OPTIMISTIC: {' and '.join(seen)} trained or selected the model"
