"""Whether a reader found as many images of each class as a whole copy of a data set has."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferjax.data.catalog import DatasetSpec
from ferjax.data.prepare.items import Reading
from ferjax.errors import UserError

# Of numbers that are missing, a sentence names as many runs.
_MOST_RUNS = 5


def check(
    spec: DatasetSpec, path: Path, reading: Reading, names: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """The examples of each class by stored split.

    Raises:
      UserError: the counts differ from a whole copy's, or a split is empty.
    """
    counts = {
        split: tuple(np.bincount([item.label for item in items], minlength=len(names)).tolist())
        for split, items in reading.splits.items()
    }
    if not any(map(sum, counts.values())):
        lines = [f"{path} has no image in it.", *reading.remarks, *reading.notes]
        raise UserError("\n".join([*lines, spec.how_to_obtain]))
    empty = [split for split, each in counts.items() if not sum(each)]
    if empty and not spec.expected_counts:
        raise UserError(
            f"{path} has no image of the {' and the '.join(empty)} split; put images there, or "
            "remove what is meant to hold them."
        )
    wrong = _differences(spec, counts, names)
    if not wrong:
        return counts
    found, whole = sum(map(sum, counts.values())), sum(_totals(spec).values())
    lines = [
        f"{path} does not hold all of {spec.title}, and nothing else: {found:,} images found, "
        f"{whole:,} expected.",
        *wrong,
        *_missing(spec, reading),
        *reading.remarks,
        _advice(found - whole, bool(reading.remarks)),
    ]
    raise UserError("\n".join(lines))


def _totals(spec: DatasetSpec) -> dict[str, int]:
    """How many examples each split of a whole copy has."""
    expected = (spec.expected_counts or {}).items()
    return {split: each if isinstance(each, int) else sum(each) for split, each in expected}


def _differences(
    spec: DatasetSpec, counts: Mapping[str, tuple[int, ...]], names: tuple[str, ...]
) -> list[str]:
    """A line for each number that is not that of a whole copy."""
    lines = []
    for split, wanted in (spec.expected_counts or {}).items():
        each = counts.get(split, (0,) * len(names))
        if isinstance(wanted, int) or not sum(each):
            total = _totals(spec)[split]
            if sum(each) != total:
                lines.append(f"  {split}: {sum(each):,} found, {total:,} expected")
            continue
        lines += [
            f"  {split} {name}: {found:,} found, {number:,} expected"
            for name, found, number in zip(names, each, wanted, strict=True)
            if found != number
        ]
    return lines


def _missing(spec: DatasetSpec, reading: Reading) -> list[str]:
    """A line for each split whose images are numbered and not all there."""
    lines = []
    for split, numbers in reading.numbers.items():
        absent = sorted(set(range(1, _totals(spec).get(split, 0) + 1)) - set(numbers))
        runs: list[list[int]] = []
        for number in absent:
            if runs and number == runs[-1][1] + 1:
                runs[-1][1] = number
            else:
                runs.append([number, number])
        if absent and numbers:
            shown = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:_MOST_RUNS]]
            more = ", ..." if len(runs) > _MOST_RUNS else ""
            lines.append(
                f"  {split}: {len(absent):,} numbers are missing: {', '.join(shown)}{more}"
            )
    return lines


def _advice(surplus: int, has_remarks: bool) -> str:
    """What to do about a copy with so many images more than a whole one."""
    if surplus > 0:
        return "It has images that a whole copy does not have: pass the data set alone."
    if surplus == 0:
        return (
            "Their number is that of a whole copy, and their splits or classes are others: use a "
            "copy whose labels and folders were not changed."
        )
    if has_remarks:
        return (
            "If the images that are missing are among those listed above as left out, move them to "
            "where they are expected; if not, use a whole copy."
        )
    return "Images are missing: use a whole copy."
