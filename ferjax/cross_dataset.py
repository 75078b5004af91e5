"""A model's score on a data set that it was not trained on, through a map of class names."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ferjax.data import pipeline
from ferjax.data.clean import clean_test_mask
from ferjax.data.examples import Examples
from ferjax.data.fitted import FittedImages
from ferjax.data.label_maps import LabelMap
from ferjax.data.source import Source
from ferjax.errors import UserError, nearest
from ferjax.evaluation import evaluate
from ferjax.experiment import Experiment
from ferjax.step import Weights

UNMAPPED = ("refuse", "drop")


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
    parts: Experiment,
    weights: Weights,
    source: Source,
    split: str,
    label_map: LabelMap,
    views: Sequence[str],
    *,
    unmapped: str = "refuse",
    started_from: Sequence[Mapping[str, Any]] = (),
) -> CrossScores:
    """Evaluates on a split of another data set.

    Its images are brought to the shape of the training images as those of a prediction are. The
    group `<split>` is all of the split whose classes the model has; `<split>_clean` those of them
    whose pixels are not among the images that trained or selected the model, each once, and is
    there if the model's own data set is, and the run goes back to no run on other data. A
    prediction of a class that the data set does not have is wrong.

    Args:
      parts: of the model, from its checkpoint.
      weights: of the model.
      source: the other data set.
      split: of it.
      label_map: from its classes to those of the model.
      views: the views to average over (see `views`).
      unmapped: "refuse" examples of classes that the model does not have, or "drop" them.
      started_from: what the run of the model started from, as its result.json says.

    Raises:
      UserError: such examples that are refused, or none that are left; or the data set is that of
        the run, whose splits may be others than those it was trained on.
    """
    if unmapped not in UNMAPPED:
        raise UserError(
            f"--unmapped is {unmapped!r}; expected one of {', '.join(UNMAPPED)}."
            + nearest(unmapped, UNMAPPED)
        )
    if source.fingerprint == parts.fingerprint:
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
        images=FittedImages(found.images, rows, parts.preprocessing.native_shape),
        labels=labels[rows],
        keys=tuple(found.keys[row] for row in rows),
        pixel_hashes=tuple(found.pixel_hashes[row] for row in rows),
    )
    groups = {split: np.ones(len(examples), bool)}
    seen, unknown = _seen(parts), _trained_elsewhere(parts, started_from)
    if seen is not None and not unknown:
        groups[f"{split}_clean"] = clean_test_mask(examples.pixel_hashes, seen)
    batches = pipeline.evaluation_batches(
        examples,
        batch_size=parts.config.evaluation.batch_size,
        placement="stream",
        mesh=parts.mesh,
        groups=groups,
        num_threads=parts.config.dataset.num_threads,
    )
    names = tuple(views)
    count = functools.partial(parts.eval_step(names), weights, None)
    scores = evaluate(count, batches, names)
    note = ""
    if unknown:
        note = (
            f"The run started from {unknown}, which was trained on other data: whether these "
            "images trained the model is not known."
        )
    elif seen is None:
        note = (
            f"The data set that the run was trained on, {parts.config.dataset.name}, is not where "
            "the run had it: whether images trained the model is not known."
        )
    elif f"{split}_clean" not in scores[names[0]]:
        note = f"Every image of {split} trained or selected the model, or is a copy of such a one."
    return CrossScores(scores, dropped, note)


def _trained_elsewhere(parts: Experiment, started_from: Sequence[Mapping[str, Any]]) -> str:
    """The first run among those a run goes back to that was trained on other data, or ""."""
    for origin in started_from:
        if origin.get("fingerprint", parts.fingerprint) != parts.fingerprint:
            return origin["weights"]
        earlier = _trained_elsewhere(parts, origin.get("started_from", ()))
        if earlier:
            return earlier
    return ""


def _seen(parts: Experiment) -> tuple[bytes, ...] | None:
    """The pixel hashes of what trained or selected the model; None if its data are not here."""
    try:
        source = parts.source
    except UserError:
        return None
    if source.fingerprint != parts.fingerprint:
        return None
    splits = {"train", *parts.protocol.selection.split("+")}
    return tuple(
        content
        for split in sorted(splits)
        if source.num_examples[split]
        for content in source.load(split, in_memory=False).pixel_hashes
    )
