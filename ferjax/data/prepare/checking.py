"""Checks that a reader found a whole data set, whose images can be decoded.

Images are decoded one at a time.
"""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ferjax.cli import progress
from ferjax.data.catalog import DatasetSpec
from ferjax.data.images import decoding
from ferjax.data.prepare.builders import Checked
from ferjax.data.prepare.items import Item, Reading
from ferjax.data.storage.fingerprint import example_digest, pixel_hash
from ferjax.errors import UserError


def check_counts(
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
        raise UserError(f"{path} has no image in it.\n{spec.how_to_obtain}")
    empty = [split for split, each in counts.items() if not sum(each)]
    if empty and not spec.expected_counts:
        raise UserError(
            f"{path} has no image of the {' and the '.join(empty)} split; put images there, or "
            "remove what is meant to hold them."
        )
    expected = spec.expected_counts or {}
    wrong = []
    for split, wanted in expected.items():
        each = counts.get(split, (0,) * len(names))
        if isinstance(wanted, int):
            if sum(each) != wanted:
                wrong.append(f"  {split}: {sum(each)} found, {wanted} expected")
            continue
        wrong += [
            f"  {split} {name}: {found} found, {number} expected"
            for name, found, number in zip(names, each, wanted, strict=True)
            if found != number
        ]
    if wrong:
        total = sum(each if isinstance(each, int) else sum(each) for each in expected.values())
        raise UserError(
            f"{path} does not hold all of {spec.title}, and nothing else: "
            f"{sum(map(sum, counts.values())):,} images found, {total:,} expected.\n"
            + "\n".join(wrong)
            + "\nThe copy is incomplete or changed: download it again."
        )
    return counts


def check_images(
    reading: Reading, console: Console
) -> tuple[dict[str, list[Checked]], dict[str, Any]]:
    """Decodes and hashes every image; returns them with the keywords of `example_features`.

    Raises:
      UserError: an image that cannot be read, or that is not of the size of the first one.
    """
    first = next(item for items in reading.splits.values() for item in items)
    image = first.image()
    if isinstance(image, bytes):
        as_files, channels = True, decoding.native_channels(image, first.key)
    else:
        as_files, channels = False, image.shape[2]
    try:
        splits, shape = _checked(reading, channels, console)
    except _ColourFound:
        # One image with colours, and all are stored with colours.
        splits, shape = _checked(reading, 3, console)
    features = {"image_shape": shape, "as_files": as_files, "num_votes": len(first.votes)}
    return splits, features


class _ColourFound(Exception):
    """An image has colours, and those before it had none."""


def _checked(
    reading: Reading, channels: int, console: Console
) -> tuple[dict[str, list[Checked]], tuple[int, ...]]:
    """Every image decoded to `channels`, and the shape that all of them have."""
    total = sum(map(len, reading.splits.values()))
    first: tuple[str, tuple[int, ...]] | None = None
    splits: dict[str, list[Checked]] = {name: [] for name in reading.splits}
    with progress.bar(console, "checking images", total) as on_item:
        for name, items in reading.splits.items():
            for item in items:
                pixels = _pixels(item, channels)
                first = first or (item.key, pixels.shape)
                if pixels.shape != first[1]:
                    height, width = pixels.shape[:2]
                    raise UserError(
                        f"{item.key} has {width}x{height} pixels, and {first[0]} has "
                        f"{first[1][1]}x{first[1][0]}: all images of a data set must have one "
                        "size. Use a copy that has not been resized, or give --image_size where "
                        "the data set takes it."
                    )
                digest = example_digest(pixels, item.label, subject=item.subject, votes=item.votes)
                splits[name].append(Checked(item, digest, pixel_hash(pixels)))
                on_item()
    assert first is not None, "a reading without images is refused before"
    return splits, first[1]


def _pixels(item: Item, channels: int) -> np.ndarray:
    image = item.image()
    if not isinstance(image, bytes):
        return image
    if channels == 1 and decoding.native_channels(image, item.key) == 3:
        raise _ColourFound
    return decoding.decode(image, item.key, channels)
