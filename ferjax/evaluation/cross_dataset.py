"""A model's score on a data set that it was not trained on, through a map of class names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.data import label_maps
from ferjax.data.dataset import Source
from ferjax.data.examples import Examples
from ferjax.data.images.fitted import FittedImages
from ferjax.data.label_maps import LabelMap
from ferjax.data.pipeline.batches import Batch, evaluation_batches
from ferjax.data.run_data import RunData
from ferjax.data.splits.clean import clean_test_mask
from ferjax.data.storage.fingerprint import pixel_hash
from ferjax.errors import UserError, one_of
from ferjax.evaluation import map_check
from ferjax.evaluation.described import Kept
from ferjax.evaluation.evaluator import Evaluator, Scores, evaluate
from ferjax.inference import lineage
from ferjax.inference.trained_model import TrainedModel
from ferjax.workdir.predictions import Predictions

UNMAPPED = ("refuse", "drop")
# So many images are hashed at a time.
_PIECE = 64
_NOT_KNOWN = "whether these images trained the model is not known."


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """A trained model, and what is known of the images that it has seen.

    Attributes:
      trained: the model with its weights.
      evaluator: the evaluator of this model.
      data: the data set of its run, where the run had it; it need not be there any more. None if
        nobody looks there.
      selection: the split or splits that selected it (see `Protocol.selection`).
      started_from: this field of its run's result.json.
    """

    trained: TrainedModel
    evaluator: Evaluator
    data: RunData | None
    selection: str
    started_from: Sequence[Mapping[str, Any]] = ()

    def evaluate(
        self,
        batches: Iterable[Batch],
        views: Sequence[str],
        split: str,
        subjects: Sequence[str] = (),
    ) -> tuple[Scores, Predictions]:
        """The scores of a pass over images that are not on the devices, and its predictions.

        Args:
          batches: the pass.
          views: names of the views.
          split: what to call the images.
          subjects: who is shown in each; () if it is not known.
        """
        kept = Kept()
        step = self.evaluator.step(tuple(views))
        count = functools.partial(step, self.trained.weights, None, keep=kept)
        scores = evaluate(count, batches, views)
        labels = self.trained.spec.labels
        return scores, kept.predictions(split, labels=labels, subjects=subjects)

    def seen(self) -> tuple[tuple[bytes, ...] | None, str]:
        """Pixel hashes of the images that trained or selected the model; or None, and why."""
        fingerprint = self.trained.spec.fingerprint
        unknown = lineage.first_other(fingerprint, self.started_from)
        if unknown:
            return None, (
                f"The run started from {unknown}, which was trained on other data: {_NOT_KNOWN}"
            )
        try:
            if self.data is not None and self.data.source.fingerprint == fingerprint:
                return self.data.pixel_hashes(("train", *self.selection.split("+"))), ""
        except UserError:  # it is not there any more
            pass
        return None, (
            f"The run's own data set, {self.trained.spec.dataset}, is not where the run had it: "
            f"{_NOT_KNOWN}"
        )


class CrossScores(NamedTuple):
    """The result of `score`.

    Attributes:
      scores: metrics[view][group], over the classes of the model.
      num_seen: how many images trained or selected the model; 0 where it is not known.
      dropped: the number of examples left out, for each class that the model does not have.
      note: why there is no `<split>_clean`; "" if there is one.
      warnings: what the predictions say against the map (see `map_check`).
      predictions: for the images that were scored.
    """

    scores: Scores
    num_seen: int
    dropped: dict[str, int]
    note: str
    warnings: list[str]
    predictions: Predictions


def score(
    model: ScoredModel,
    source: Source,
    split: str,
    label_map: LabelMap,
    views: Sequence[str],
    *,
    unmapped: str = "refuse",
    num_threads: int = 0,
) -> CrossScores:
    """Evaluates on a split of another data set.

    Images are fitted to the shape of the training images as in prediction. The group `<split>` has
    all images whose classes the model has. `<split>_clean` leaves out images whose pixels, in the
    shape of the training images, trained or selected the model, and repeated images; it needs the
    run's data set, and no starting run with other data. A predicted class that the data set lacks
    is wrong.

    Args:
      model: the model with its weights.
      source: the other data set.
      split: the name of its split.
      label_map: the map of its classes to the model's.
      views: names of the views (see `evaluation.views`).
      unmapped: "refuse" examples of classes that the model does not have, or "drop" them.
      num_threads: threads that read images; 0: one per core.

    Raises:
      UserError: refused examples, or none left; or this is the run's own data set, whose splits
        here may differ from the run's splits.
    """
    one_of("--unmapped", unmapped, UNMAPPED)  # before anything is read
    spec = model.trained.spec
    if source.fingerprint == spec.fingerprint:
        raise UserError(
            f"{source.name} is the data set that the run was trained on. Leave --dataset, "
            "--options and --label_map out: then its splits are those of the run."
        )
    examples, given, dropped = _known(source, split, label_map, unmapped, spec.native_shape)
    groups = {split: np.ones(len(examples), bool), **map_check.groups(given, label_map)}
    seen, note = model.seen()
    num_seen = 0
    if seen is not None:
        is_fitted = tuple(source.image_shape) != tuple(spec.native_shape)
        hashes = _hashes(examples) if is_fitted else list(examples.pixel_hashes)
        groups[f"{split}_clean"] = clean_test_mask(hashes, seen)
        num_seen = sum(map(set(seen).__contains__, hashes))
    batches = evaluation_batches(
        examples,
        batch_size=model.evaluator.batch_size,
        placement="stream",
        mesh=model.evaluator.mesh,
        groups=groups,
        num_threads=num_threads,
    )
    scores, rows = model.evaluate(batches, views, split, examples.subjects)
    scores, warnings = map_check.taken_out(scores, label_map)
    if not note and f"{split}_clean" not in scores[views[0]]:
        note = f"Every image of {split} trained or selected the model, or is a copy of such a one."
    return CrossScores(scores, num_seen, dropped, note, warnings, rows)


def _hashes(examples: Examples) -> list[bytes]:
    """The hashes of the images as they are indexed, of which a piece at a time is in memory."""
    pieces = (slice(at, at + _PIECE) for at in range(0, len(examples), _PIECE))
    return [pixel_hash(image) for piece in pieces for image in examples.images[piece]]


def check_unmapped(
    counts: Mapping[str, int], label_map: LabelMap, unmapped: str, where: str
) -> dict[str, int]:
    """How many images are left out, for each class of the data that the model does not have.

    Args:
      counts: how many images each class has.
      label_map: the map of these classes.
      unmapped: "refuse" or "drop" such images.
      where: what to call the images in a message.

    Raises:
      UserError: there are some, and they are refused.
    """
    one_of("--unmapped", unmapped, UNMAPPED)
    dropped = {name: counts[name] for name in label_map.unmapped if counts[name]}
    if dropped and unmapped == "refuse":
        missing = ", ".join(f"{name} ({count} images)" for name, count in dropped.items())
        raise UserError(
            f"The model has no class for {missing} of {where}. Pass --unmapped=drop to score "
            "the other images, or map them to a class with --label_map."
        )
    return dropped


def asked_map(text: str | None, source: Source, labels: tuple[str, ...]) -> LabelMap:
    """The map of a data set's classes to a model's classes; without a `text` it is refused."""
    if text is None:
        raise UserError(
            f"The model knows the classes {', '.join(labels)}, and {source.name} has "
            f"{', '.join(source.labels.names)}: say how they belong together, by what the "
            "names mean with --label_map=emotions, or class by class with "
            "--label_map=theirs=ours,..."
        )
    return label_maps.parse(text, source.labels.names, labels)


def _known(
    source: Source,
    split: str,
    label_map: LabelMap,
    unmapped: str,
    native_shape: tuple[int, int, int],
) -> tuple[Examples, np.ndarray, dict[str, int]]:
    """The examples whose classes the model has, their own labels, and how many are left out."""
    found = source.load(split, in_memory=False)
    labels, kept = label_map.apply(found.labels)
    counts = dict(zip(label_map.source, found.counts(len(label_map.source)), strict=True))
    dropped = check_unmapped(counts, label_map, unmapped, source.name)
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise UserError(f"The model has no class for any image of the {split} split.")
    examples = Examples(
        images=FittedImages(found.images, rows, native_shape),
        labels=labels[rows],
        keys=tuple(found.keys[row] for row in rows),
        pixel_hashes=tuple(found.pixel_hashes[row] for row in rows),
        subjects=tuple(found.subjects[row] for row in rows) if found.subjects else (),
    )
    return examples, found.labels[rows], dropped
