"""A model's score on a user's own labelled images, which need not be prepared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferjax.data.images.unread import Unread
from ferjax.data.label_maps import LabelMap
from ferjax.errors import UserError, one_line
from ferjax.evaluation import copies, cross_dataset, map_check
from ferjax.evaluation.class_folders import ClassFolders
from ferjax.evaluation.cross_dataset import ScoredModel
from ferjax.evaluation.evaluator import Scores
from ferjax.evaluation.image_files import ImageFiles, read_once
from ferjax.workdir.predictions import Predictions

# Takes the number of images; inside of it, what it gives is called after each image.
Progress = Callable[[int], contextlib.AbstractContextManager[Callable[[], None]]]
GROUP, CLEAN = "all", "all_clean"


def no_progress(_: int) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Shows nothing."""
    return contextlib.nullcontext(lambda: None)


class FolderScores(NamedTuple):
    """The result of `score`.

    Attributes:
      scores: metrics[view][group], over the classes of the model.
      num_seen: how many images trained or selected the model; 0 where it is not known.
      dropped: the number of images left out, for each class that the model does not have.
      unread: why it could not be read, for each file that is not scored for this reason.
      remarks: what is worth saying about some images (see `data.images.remarks`).
      note: how many images are not clean, or why it is not known.
      warnings: images of which there are copies in other classes; and what the predictions say
        against the map (see `map_check`).
    """

    scores: Scores
    num_seen: int
    dropped: dict[str, int]
    unread: dict[str, str]
    remarks: tuple[str, ...]
    note: str
    warnings: list[str]
    predictions: Predictions

    @property
    def num_scored(self) -> int:
        """How many images were scored."""
        return next(iter(self.scores.values()))[GROUP]["num_examples"]

    def to_json(self) -> dict[str, Any]:
        """All but the scores, the note and the predictions."""
        return {
            "scored": self.num_scored,
            "unreadable": self.unread,
            "remarks": list(self.remarks),
            "dropped": self.dropped,
            "warnings": self.warnings,
        }


def score(
    model: ScoredModel,
    folders: ClassFolders,
    label_map: LabelMap,
    views: Sequence[str],
    *,
    unmapped: str = "refuse",
    num_threads: int = 0,
    progress: Progress = no_progress,
) -> FolderScores:
    """Evaluates on all images of class folders, read as prediction reads them.

    The group `all` has all that can be read and whose classes the model has. `all_clean`
    leaves out images whose pixels, in the shape of the training images, trained or selected the
    model, and repeated ones; `ScoredModel.seen` says when it is known. A prediction of a class that
    has no folder is wrong.

    Args:
      model: the model with its weights.
      folders: the images.
      label_map: the map of the classes that have images to the model's.
      views: names of the views (see `evaluation.views`).
      unmapped: "refuse" images of classes that the model does not have, or "drop" them.
      num_threads: threads that read images; 0: one per core.
      progress: shows how far it is.

    Raises:
      UserError: refused images, none left, or none that can be read.
    """
    where = one_line(folders.where)
    dropped = cross_dataset.check_unmapped(folders.counts, label_map, unmapped, where)
    pairs = _mapped_files(folders, label_map)
    given = np.array([number for number, _ in pairs], np.int32)
    images = ImageFiles([file for _, file in pairs], model.trained.spec.native_shape)
    seen, note = model.seen()
    labels = label_map.apply(given)[0]
    with progress(len(pairs)) as on_image:
        batches = read_once(
            images,
            labels,
            {GROUP: np.ones(len(pairs), bool), **map_check.groups(given, label_map)},
            seen=seen,
            clean=CLEAN,
            batch_size=model.evaluator.batch_size,
            mesh=model.evaluator.mesh,
            num_threads=num_threads,
            on_image=on_image,
        )
        scores, rows = model.evaluate(batches, views, GROUP)
    unread = {str(images.paths[at]): said for at, said in sorted(images.problems.items())}
    if not scores[views[0]]:
        raise unreadable(unread, len(pairs))
    scores, warnings = map_check.taken_out(scores, label_map)
    found = copies.count(images.hashes, seen or ())
    not_clean = found.note(len(images.hashes), CLEAN if CLEAN in scores[views[0]] else "")
    note = " ".join(filter(None, (note, not_clean)))
    names = [str(file.relative_to(folders.where)) for file in images.paths]
    warnings[:0] = copies.contradictions(images.hashes, labels, names)
    remarks = images.sentences()
    return FolderScores(scores, found.seen, dropped, unread, remarks, note, warnings, rows)


def _mapped_files(folders: ClassFolders, label_map: LabelMap) -> list[tuple[int, Path]]:
    """The files whose classes the model has, each with the number of its own class.

    Raises:
      UserError: there is none.
    """
    found = [
        (number, file)
        for number, name in enumerate(label_map.source)
        if label_map.table[number] is not None
        for file in folders.images.get(name, ())
    ]
    if not found:
        raise UserError(f"The model has no class for any image of {one_line(folders.where)}.")
    return found


def unreadable(unread: dict[str, str], total: int) -> UserError:
    """The error that lists files that could not be read.

    Args:
      unread: why, for each file.
      total: how many were to be read.
    """
    # Where no image can be read, there are no scores to write.
    listed = "--json=FILE lists all" if len(unread) < total else ""
    return Unread(unread.values()).error(total, done="scored", listed=listed)
