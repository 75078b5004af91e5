"""Finished runs of one config, over seeds and folds, with their predictions for the test images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from ferjax import filesystem
from ferjax.data.catalog import HELD_OUT_SPLITS
from ferjax.errors import UserError, one_of
from ferjax.evaluation import probabilities
from ferjax.filesystem import Place
from ferjax.inference import agreement
from ferjax.metrics import rates
from ferjax.workdir import predictions
from ferjax.workdir.directory import STARTS, RunDirectory, differences
from ferjax.workdir.predictions import Predictions


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
      config: complete.
      result: the content of result.json.
      tested: its predictions for the test images.
    """

    config: ConfigDict
    result: Mapping[str, Any]
    tested: Predictions


@dataclasses.dataclass(frozen=True)
class FinishedRuns:
    """The finished runs of one config: one, or one for each seed, each fold, or both.

    Attributes:
      name: its folder, as the user gave it.
      seeds: the seed of each unit.
      units: for each seed its run, or its runs of all folds in order.
    """

    name: str
    seeds: tuple[int, ...]
    units: tuple[tuple[Run, ...], ...]

    @property
    def first(self) -> Run:
        """A run, for what all have in common."""
        return self.units[0][0]

    @property
    def is_optimistic(self) -> bool:
        """Whether a run was not selected and tested honestly."""
        return any(run.result["protocol"] != "honest" for unit in self.units for run in unit)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.first.tested.labels

    @property
    def images(self) -> str:
        """What identifies the test images and their order."""
        return "+".join(run.tested.images for run in self.units[0])

    def true(self, group: str) -> Int[np.ndarray, " N"]:
        """The true classes of the images of a group, those of folds in a row."""
        return np.concatenate([_of(run, run.tested.label, group) for run in self.units[0]])

    def persons(self, group: str) -> Int[np.ndarray, " N"] | None:
        """A number for each person in these images; None if they are not known."""
        if not all(run.tested.subjects for run in self.units[0]):
            return None
        return predictions.numbered(
            [
                name
                for run in self.units[0]
                for name, is_in in zip(run.tested.subjects, run.tested.groups[group], strict=True)
                if is_in
            ]
        )

    def probabilities(self, view: str, group: str) -> list[Float[np.ndarray, "N K"]]:
        """The predictions for the same images, for each seed."""
        return [
            np.concatenate([_of(run, run.tested.probabilities[view], group) for run in unit])
            for unit in self.units
        ]

    def predicted(self, view: str, group: str) -> list[Int[np.ndarray, " N"]]:
        """The predicted classes of the same images, for each seed."""
        return [rows.argmax(axis=1) for rows in self.probabilities(view, group)]

    def metrics(self, view: str, group: str) -> list[dict[str, Any]]:
        """The metrics of each seed, over all its images: those of folds count together.

        They are those of `metrics.rates`, top2_accuracy, loss and calibration_error.
        """
        true, number = self.true(group), len(self.labels)
        made = []
        for rows in self.probabilities(view, group):
            counts = np.bincount(true * number + rows.argmax(axis=1), minlength=number * number)
            made.append(
                {
                    **rates(counts.reshape(number, number)),
                    "top2_accuracy": float(probabilities.in_top(rows, true, 2).mean()),
                    "loss": float(probabilities.losses(rows, true).mean()),
                    "calibration_error": probabilities.calibration_error(rows, true),
                }
            )
        return made


# The complete config of a run directory (`config.stored.of_run`), which belongs to an upper floor.
ConfigOf = Callable[[RunDirectory], ConfigDict]


def read(path: str, config_of: ConfigOf) -> FinishedRuns:
    """Reads a run directory, or a folder with `seed_N` or `fold_N` or both below it.

    Args:
      path: the folder.
      config_of: see `ConfigOf`.

    Raises:
      UserError: there is no finished run; a run is damaged, or of an older version that kept no
        predictions; or the runs are of different data.
    """
    place = filesystem.of(path)
    return load(path, _numbered(place, "seed") or [place], config_of)


def load(name: str, folders: Sequence[Place], config_of: ConfigOf) -> FinishedRuns:
    """Reads the runs in folders, one for each seed, which may hold `fold_N`; raises as `read`.

    Args:
      name: what to call them.
      folders: at least one.
      config_of: see `ConfigOf`.
    """
    seeds, units = [], []
    for folder in folders:
        runs = tuple(_run(one, config_of) for one in _numbered(folder, "fold") or [folder])
        seeds.append(runs[0].result["seed"])
        units.append(runs)
    _check_alike(units, folders)
    return FinishedRuns(name, tuple(seeds), tuple(units))


def check_comparable(runs: Sequence[FinishedRuns], view: str, group: str) -> None:
    """Refuses runs that were not tested on the same images, in this view, with the same classes.

    Raises:
      UserError: it says which, and in what they differ; or the group has no image.
    """
    first = runs[0]
    for one in runs:
        tested = one.first.tested
        one_of(f"The view of {one.name}", view, sorted(tested.probabilities))
        one_of(f"The group of images of {one.name}", group, sorted(tested.groups))
        if one.labels != first.labels:
            raise UserError(
                f"{one.name} has the classes {', '.join(one.labels)}, and {first.name} has "
                f"{', '.join(first.labels)}; only runs with the same classes can be compared."
            )
        if one.images != first.images:
            raise UserError(
                f"{one.name} was tested on other images than {first.name} "
                f"({one.first.result['dataset']} and {first.first.result['dataset']}, split "
                f"{tested.split} and {first.first.tested.split}); a paired test needs the same."
            )
        if not np.array_equal(one.true(group), first.true(group)) or not _same_group(
            one, first, group
        ):
            raise UserError(
                f"{one.name} and {first.name} have other labels, or other images in the group "
                f"{group}: their data were prepared or split differently. A paired test needs the "
                "same; prepare the data once, or take another --group."
            )
        if not len(one.true(group)):
            raise UserError(f"{one.name} has no image in the group {group}.")


def _same_group(one: FinishedRuns, other: FinishedRuns, group: str) -> bool:
    pairs = zip(one.units[0], other.units[0], strict=True)
    return all(
        np.array_equal(run.tested.groups[group], like.tested.groups[group]) for run, like in pairs
    )


def _check_alike(units: Sequence[Sequence[Run]], folders: Sequence[Place]) -> None:
    """Refuses runs beside each other that differ in more than their seed and fold."""
    first = units[0]
    for unit, folder in zip(units, folders, strict=True):
        for run in unit:
            others = [] if run is first[0] else _others(first[0], run)
            if others:
                raise UserError(
                    f"{folder} holds the run of another config than the runs beside it "
                    f"({others[0]}); name runs that belong together."
                )
        same = [run.tested.images for run in unit] == [run.tested.images for run in first]
        if not same:
            raise UserError(
                f"{folder} was tested on other images than the runs beside it, or lacks folds that "
                "they have; name runs that belong together."
            )


def _others(one: Run, other: Run) -> list[str]:
    """What two runs differ in apart from seed, fold, and where they started from."""
    first, second = (_without_seed_and_fold(run.config) for run in (one, other))
    return list(differences(first, second, besides=STARTS))


def _without_seed_and_fold(config: ConfigDict) -> dict[str, Any]:
    fields = json.loads(config.to_json())
    for part in (fields, *(fields.get("stages") or {}).values()):
        part.pop("seed", None)
        part["dataset"]["options"].pop("fold", None)
    return fields


def _numbered(folder: Place, word: str) -> list[Place]:
    """The folders `WORD_N` in a folder, in the order of N."""
    if not filesystem.is_folder(folder):
        return []
    found = [path for path in folder.glob(f"{word}_*") if path.name[len(word) + 1 :].isdecimal()]
    return sorted(found, key=lambda path: int(path.name[len(word) + 1 :]))


def _run(folder: Place, config_of: ConfigOf) -> Run:
    directory = RunDirectory(folder)
    config = config_of(directory)
    result = directory.result()
    if result is None:
        raise UserError(
            f"{folder} holds no finished run; finish it with the command that began it."
        )
    agreement.check(folder, config=config, result=result)
    if "predictions" not in result:
        raise UserError(
            f"{folder} is a run of an older version, which kept no predictions for its test "
            "images; train it again in an empty workdir to compare it."
        )
    split = config.protocol.test
    one_of(f"protocol.test of {folder}", split, HELD_OUT_SPLITS)
    if split not in result["predictions"]:
        raise UserError(
            f"{folder}/result.json names no predictions for the {split} split: restore it from a "
            "copy."
        )
    tested = predictions.read(folder, split, result["predictions"][split]["sha256"])
    if list(tested.labels) != result["labels"]:
        raise UserError(
            f"{folder} holds files of two runs: the classes in result.json and in its predictions "
            "differ. Restore the folder from a copy."
        )
    return Run(config, result, tested)


def _of(run: Run, rows: np.ndarray, group: str) -> np.ndarray:
    return rows[run.tested.groups[group]]
