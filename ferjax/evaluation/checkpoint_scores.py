"""Scores of a run's checkpoint on its own data set or on another, and how honest they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from ferjax.data import label_maps
from ferjax.data.audit.clean_index import read_clean_index
from ferjax.data.dataset import Source, open_dataset
from ferjax.data.options import parse
from ferjax.data.run_data import RunData
from ferjax.data.splits import splitters
from ferjax.errors import UserError
from ferjax.evaluation import class_folders, cross_dataset, labelled_images
from ferjax.evaluation.checkpoint_result import CheckpointScores, check_finite
from ferjax.evaluation.cross_dataset import ScoredModel
from ferjax.evaluation.described import described, passed
from ferjax.evaluation.evaluator import Evaluator
from ferjax.evaluation.labelled_images import Progress
from ferjax.evaluation.protocol import Protocol
from ferjax.filesystem import SCHEME, is_remote
from ferjax.inference.trained_model import TrainedModel
from ferjax.workdir.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run whose checkpoint is evaluated.

    Attributes:
      trained: its model.
      config: the run's, complete.
      started_from: this field of its result.json.
      temperature: of each view, fitted on the split that selected; of some or none in a run of an
        older version.
    """

    trained: TrainedModel
    config: ConfigDict
    started_from: Sequence[Mapping[str, Any]]
    temperature: Mapping[str, float]

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
        about = result if checkpoint == "best" else result.get("last", {})
        fitted = about.get("temperature", {})
        return cls(trained, config, result.get("started_from", ()), fitted)

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
        data, trained, protocol = self.data(data_dir), self.trained, self.protocol
        evaluator = self._evaluator(batch_size)
        trained.spec.check_same_data(data.source, trained.where)
        groups = {}
        if clean_index:
            near = "test_clean_near"
            groups = {near: read_clean_index(clean_index, data.source)[near]}
        scores, rows = passed(evaluator, trained.weights, data, split, views, groups)
        check_finite(scores, trained, f"the {split} split")
        seen = set(split.split("+")) & set(protocol.selection.split("+"))
        found = described(scores, rows, {} if seen else self.temperature)
        label, remark = protocol.of_split(split)
        about = {
            "dataset": trained.spec.dataset,
            "options": data.source.options,
            "fingerprint": trained.spec.fingerprint,
        }
        return CheckpointScores(found, split, about, split, label, remark)

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
        mapped = cross_dataset.asked_map(label_map, source, self.trained.spec.labels)
        found = cross_dataset.score(
            self._scored(own, self._evaluator(batch_size)),
            source,
            split,
            mapped,
            views,
            unmapped=unmapped,
            num_threads=own.num_threads,
        )
        check_finite(found.scores, self.trained, f"the {split} split of {dataset}")
        scores = described(found.scores, found.predictions, self.temperature)
        about = {
            "dataset": source.name,
            "options": source.options,
            "fingerprint": source.fingerprint,
            "trained_on": self.trained.spec.dataset,
            "label_map": mapped.describe(),
            "dropped": found.dropped,
            "note": " ".join(filter(None, (*mapped.notes, found.note))),
            "warnings": found.warnings,
        }
        given = ", ".join(f"{name}={value}" for name, value in source.options.items())
        where = f"{dataset} {split}" + (f" ({given})" if given else "")
        total = found.scores[views[0]][split]["num_examples"]
        label, remark = self.protocol.of_images(found.num_seen, total)
        return CheckpointScores(scores, split, about, where, label, remark)

    def on_images(
        self,
        folder: str,
        views: Sequence[str],
        *,
        label_map: str = label_maps.BY_EMOTION,
        unmapped: str = "refuse",
        batch_size: int | None = None,
        on_left_out: Callable[[str], None] = lambda _: None,
        progress: Progress = labelled_images.no_progress,
    ) -> CheckpointScores:
        """Evaluates on all images of a user's class folders.

        Args:
          folder: it holds a folder of images for each class.
          views: see `evaluation.views`.
          label_map: the map of the folders' names to the model's classes (see `label_maps.parse`).
          unmapped: "refuse" or "drop" images of classes that the model does not have.
          batch_size: images of a batch; by default the run's, or fewer for a few images.
          on_left_out: called with a sentence on each kind of what is left out of the folder.
          progress: shows how far it is (see `labelled_images.Progress`).

        Raises:
          UserError: see `class_folders.find`, `label_maps.parse` and `labelled_images.score`; or
            the prediction for an image depends on the others.
        """
        spec = self.trained.spec
        if spec.depends_on_batch:
            raise UserError(
                "This model was made with tokens=batch: what it says of an image depends on the "
                "other images of its batch, so that a folder of images cannot be scored."
            )
        found = class_folders.find(folder, spec.labels, on_left_out)
        names = found.images if label_map == label_maps.BY_EMOTION else found.counts
        mapped = label_maps.parse(label_map, sorted(names), spec.labels)
        size = batch_size or self._size_for(len(found))
        scored = labelled_images.score(
            self._scored(None if self._strange_bucket else self.data(None), self._evaluator(size)),
            found,
            mapped,
            views,
            unmapped=unmapped,
            num_threads=self.config.dataset.num_threads,
            progress=progress,
        )
        check_finite(scored.scores, self.trained, str(found.where))
        scores = described(scored.scores, scored.predictions, self.temperature)
        about = {
            "images": str(found.where),
            "counts": found.counts,
            **scored.to_json(),
            "trained_on": spec.dataset,
            "label_map": mapped.describe(),
            "note": " ".join(filter(None, (*found.notes(), *mapped.notes, scored.note))),
        }
        where = f"{scored.num_scored:,} of {len(found):,} images of {found.where}"
        label, remark = self.protocol.of_images(scored.num_seen, scored.num_scored)
        return CheckpointScores(scores, labelled_images.GROUP, about, where, label, remark)

    @property
    def protocol(self) -> Protocol:
        """How the run selected its epoch, and what it reports."""
        leak = splitters.leak(self.config.dataset.options.to_dict())
        return Protocol(**self.config.protocol.to_dict(), leak=leak)

    def _other(
        self, dataset: str, data_dir: str | None, options: Sequence[str]
    ) -> tuple[RunData, Source]:
        """The data set of the run, which need not be there, and another one."""
        own = self.data(data_dir if self._strange_bucket else None)
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

    def data(self, data_dir: str | None) -> RunData:
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

    def _scored(self, own: RunData | None, evaluator: Evaluator) -> ScoredModel:
        return ScoredModel(
            trained=self.trained,
            evaluator=evaluator,
            data=own,
            selection=self.protocol.selection,
            started_from=self.started_from,
        )

    def _size_for(self, number: int) -> int:
        """The batch size of the run, or as many as a few images take on these devices."""
        devices = self.trained.mesh.size
        return min(self.config.evaluation.batch_size, -(-number // devices) * devices)

    def _evaluator(self, batch_size: int | None) -> Evaluator:
        own = self.config.evaluation.batch_size
        if batch_size is not None and self.trained.spec.depends_on_batch:
            raise UserError(
                "This model was made with tokens=batch: its scores depend on the size of the "
                f"batches, which was {own}; leave --batch_size out."
            )
        size = own if batch_size is None else batch_size
        return Evaluator(self.trained.spec, self.trained.mesh, batch_size=size)


def _bucket(path: str) -> str:
    """The bucket of a remote path, "" of a local one."""
    return path.removeprefix(SCHEME).partition("/")[0] if is_remote(path) else ""
