"""A model's score on a data set that it was not trained on, through a map of class names."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.data.dataset import Source
from ferjax.data.examples import Examples
from ferjax.data.images.fitted import FittedImages
from ferjax.data.label_maps import LabelMap
from ferjax.data.pipeline.batches import evaluation_batches
from ferjax.data.run_data import RunData
from ferjax.data.splits.clean import clean_test_mask
from ferjax.errors import UserError, one_of
from ferjax.evaluation.evaluator import Evaluator, Scores, evaluate
from ferjax.inference import lineage
from ferjax.inference.trained_model import TrainedModel

UNMAPPED = ("refuse", "drop")
_NOT_KNOWN = "whether these images trained the model is not known."


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """A trained model, and what is known of the images that it has seen.

    Attributes:
      trained: the model with its weights.
      evaluator: the evaluator of this model.
      data: the data set of its run, where the run had it; it need not be there any more.
      selection: the split or splits that selected it (see `Protocol.selection`).
      started_from: this field of its run's result.json.
    """

    trained: TrainedModel
    evaluator: Evaluator
    data: RunData
    selection: str
    started_from: Sequence[Mapping[str, Any]] = ()

    def seen(self) -> tuple[bytes, ...] | None:
        """Pixel hashes of the images that trained or selected the model; None without its data."""
        try:
            source = self.data.source
        except UserError:
            return None
        if source.fingerprint != self.trained.spec.fingerprint:
            return None
        return self.data.pixel_hashes(("train", *self.selection.split("+")))


class CrossScores(NamedTuple):
    """The result of `score`.

    Attributes:
      scores: metrics[view][group], over the classes of the model.
      dropped: the number of examples left out, for each class that the model does not have.
      note: why there is no `<split>_clean`; "" if there is one.
    """

    scores: Scores
    dropped: dict[str, int]
    note: str


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
    all images whose classes the model has. `<split>_clean` leaves out images that trained or
    selected the model, and repeated images; it needs the run's data set, and no starting run with
    other data. A predicted class that the data set lacks is wrong.

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
    one_of("--unmapped", unmapped, UNMAPPED)
    spec = model.trained.spec
    if source.fingerprint == spec.fingerprint:
        raise UserError(
            f"{source.name} is the data set that the run was trained on. Leave --dataset, "
            "--options and --label_map out: then its splits are those of the run."
        )
    examples, dropped = _known(source, split, label_map, unmapped, spec.native_shape)
    groups = {split: np.ones(len(examples), bool)}
    seen, unknown = model.seen(), lineage.first_other(spec.fingerprint, model.started_from)
    if seen is not None and not unknown:
        groups[f"{split}_clean"] = clean_test_mask(examples.pixel_hashes, seen)
    batches = evaluation_batches(
        examples,
        batch_size=model.evaluator.batch_size,
        placement="stream",
        mesh=model.evaluator.mesh,
        groups=groups,
        num_threads=num_threads,
    )
    count = functools.partial(model.evaluator.step(tuple(views)), model.trained.weights, None)
    scores = evaluate(count, batches, views)
    note = ""
    if unknown:
        note = f"The run started from {unknown}, which was trained on other data: {_NOT_KNOWN}"
    elif seen is None:
        note = f"The run's own data set, {spec.dataset}, is not where the run had it: {_NOT_KNOWN}"
    elif f"{split}_clean" not in scores[views[0]]:
        note = f"Every image of {split} trained or selected the model, or is a copy of such a one."
    return CrossScores(scores, dropped, note)


def _known(
    source: Source,
    split: str,
    label_map: LabelMap,
    unmapped: str,
    native_shape: tuple[int, int, int],
) -> tuple[Examples, dict[str, int]]:
    """The examples whose classes the model has, and how many of other classes are left out."""
    found = source.load(split, in_memory=False)
    labels, kept = label_map.apply(found.labels)
    counts = found.counts(len(label_map.source))
    dropped = {
        name: counts[label_map.source.index(name)]
        for name in label_map.unmapped
        if counts[label_map.source.index(name)]
    }
    if dropped and unmapped == "refuse":
        missing = ", ".join(f"{name} ({count} images)" for name, count in dropped.items())
        raise UserError(
            f"The model has no class for {missing} of {source.name}. Pass --unmapped=drop to score "
            "the other images, or map them to a class with --label_map."
        )
    rows = np.flatnonzero(kept)
    if not len(rows):
        raise UserError(f"The model has no class for any image of the {split} split.")
    examples = Examples(
        images=FittedImages(found.images, rows, native_shape),
        labels=labels[rows],
        keys=tuple(found.keys[row] for row in rows),
        pixel_hashes=tuple(found.pixel_hashes[row] for row in rows),
    )
    return examples, dropped
