"""A model's score on a data set that it was not trained on, through a map of class names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from ferjax.data.dataset import Source
from ferjax.data.examples import Examples
from ferjax.data.images.fitted import FittedImages
from ferjax.data.label_maps import LabelMap
from ferjax.data.pipeline.batches import Batch, evaluation_batches
from ferjax.data.splits.clean import clean_test_mask
from ferjax.errors import UserError, one_of
from ferjax.evaluation.evaluator import States, evaluate

UNMAPPED = ("refuse", "drop")


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """What the score of a model on other data needs of it.

    Attributes:
      count: the compiled evaluation step of `views`, with the weights bound.
      views: the views to average over (see `views`).
      native_shape: (h, w, c) of the training images.
      dataset: the name of the data set that trained it.
      fingerprint: of that data set.
      seen: the pixel hashes of what trained or selected the model; None if its data are not here.
      started_from: what the run of the model started from, as its result.json says.
      mesh: of the devices.
      batch_size: images of a batch.
      num_threads: threads that read images.
    """

    count: Callable[[Batch], States]
    views: tuple[str, ...]
    native_shape: tuple[int, int, int]
    dataset: str
    fingerprint: str
    seen: Callable[[], tuple[bytes, ...] | None]
    started_from: Sequence[Mapping[str, Any]]
    mesh: Mesh
    batch_size: int
    num_threads: int


class CrossScores(NamedTuple):
    """What `score` found.

    Attributes:
      scores: metrics[view][group], over the classes of the model.
      dropped: for each class that the model does not have, how many examples were left out.
      note: why there is no `<split>_clean`; "" if there is one.
    """

    scores: dict[str, Any]
    dropped: dict[str, int]
    note: str


def score(
    model: ScoredModel,
    source: Source,
    split: str,
    label_map: LabelMap,
    *,
    unmapped: str = "refuse",
) -> CrossScores:
    """Evaluates on a split of another data set.

    Its images are brought to the shape of the training images as those of a prediction are. The
    group `<split>` is all of the split whose classes the model has; `<split>_clean` those of them
    whose pixels are not among the images that trained or selected the model, each once, and is
    there if the model's own data set is, and the run goes back to no run on other data. A
    prediction of a class that the data set does not have is wrong.

    Args:
      model: with its weights.
      source: the other data set.
      split: of it.
      label_map: from its classes to those of the model.
      unmapped: "refuse" examples of classes that the model does not have, or "drop" them.

    Raises:
      UserError: such examples that are refused, or none that are left; or the data set is that of
        the run, whose splits may be others than those it was trained on.
    """
    one_of("--unmapped", unmapped, UNMAPPED)
    if source.fingerprint == model.fingerprint:
        raise UserError(
            f"{source.name} is the data set that the run was trained on. Leave --dataset, "
            "--options and --label_map out: then its splits are those of the run."
        )
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
        images=FittedImages(found.images, rows, model.native_shape),
        labels=labels[rows],
        keys=tuple(found.keys[row] for row in rows),
        pixel_hashes=tuple(found.pixel_hashes[row] for row in rows),
    )
    groups = {split: np.ones(len(examples), bool)}
    seen, unknown = model.seen(), _trained_elsewhere(model.fingerprint, model.started_from)
    if seen is not None and not unknown:
        groups[f"{split}_clean"] = clean_test_mask(examples.pixel_hashes, seen)
    batches = evaluation_batches(
        examples,
        batch_size=model.batch_size,
        placement="stream",
        mesh=model.mesh,
        groups=groups,
        num_threads=model.num_threads,
    )
    scores = evaluate(model.count, batches, model.views)
    note = ""
    if unknown:
        note = (
            f"The run started from {unknown}, which was trained on other data: whether these "
            "images trained the model is not known."
        )
    elif seen is None:
        note = (
            f"The data set that the run was trained on, {model.dataset}, is not where "
            "the run had it: whether images trained the model is not known."
        )
    elif f"{split}_clean" not in scores[model.views[0]]:
        note = f"Every image of {split} trained or selected the model, or is a copy of such a one."
    return CrossScores(scores, dropped, note)


def _trained_elsewhere(fingerprint: str, started_from: Sequence[Mapping[str, Any]]) -> str:
    """The first run among those a run goes back to that was trained on other data, or ""."""
    for origin in started_from:
        if origin.get("fingerprint", fingerprint) != fingerprint:
            return origin["weights"]
        earlier = _trained_elsewhere(fingerprint, origin.get("started_from", ()))
        if earlier:
            return earlier
    return ""
