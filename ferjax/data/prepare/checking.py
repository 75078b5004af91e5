"""Checks that the images that a reader found can be decoded, one at a time."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ferjax.cli import progress
from ferjax.data.catalog import DatasetSpec
from ferjax.data.images import decoding
from ferjax.data.prepare.builders import Checked
from ferjax.data.prepare.faults import Fault, Faults
from ferjax.data.prepare.items import Image, Item, Reading
from ferjax.data.storage.fingerprint import example_digest, pixel_hash
from ferjax.errors import UserError, one_line


def check_images(
    spec: DatasetSpec, path: Path, reading: Reading, console: Console
) -> tuple[dict[str, list[Checked]], dict[str, Any]]:
    """Decodes and hashes every image; returns them with the keywords of `example_features`.

    Raises:
      UserError: images that cannot be read, or that are not of the size that most have. All are
        counted, and the first of them, by path, are named.
    """
    try:
        splits, features, faults = _checked(spec, reading, None, console, "checking images")
    except _ColourFound:
        # One image with colours, and all are stored with colours.
        again = "checking images again, in colour"
        splits, features, faults = _checked(spec, reading, 3, console, again)
    out = ", or take them out" if spec.expected_counts is None else ""
    total = sum(map(len, reading.splits.values()))
    faults.check(f"{total:,} images of {path}", f"Put whole files in their places{out}.")
    return splits, features


class _ColourFound(Exception):
    """An image has colours, and those before it had none."""


def _checked(
    spec: DatasetSpec, reading: Reading, channels: int | None, console: Console, title: str
) -> tuple[dict[str, list[Checked]], dict[str, Any], Faults]:
    """As `check_images`, and the faults; without `channels` in as many as the first image has."""
    faults = Faults()
    sizes: dict[tuple[int, int], list[Item]] = {}
    splits: dict[str, list[Checked]] = {name: [] for name in reading.splits}
    features: dict[str, Any] = {}
    total = sum(map(len, reading.splits.values()))
    with progress.bar(console, title, total) as on_item:
        for name, items in reading.splits.items():
            for item in items:
                with faults.caught(item.key):
                    image = item.image()
                    channels = channels or _channels(image, item)
                    pixels = _pixels(image, item, channels)
                    sizes.setdefault((pixels.shape[0], pixels.shape[1]), []).append(item)
                    splits[name].append(_hashed(item, pixels))
                    features = {"as_files": isinstance(image, bytes), "num_votes": len(item.votes)}
                on_item()
    # Of two that are equally frequent, the first.
    usual = max(sizes, key=lambda size: len(sizes[size]), default=(0, 0))
    for size, items in sizes.items():
        for item in items if size != usual else ():
            faults.add(item.key, _other_size(spec, item, size, usual, len(sizes[usual])))
    return splits, {**features, "image_shape": (*usual, channels)}, faults


def _other_size(
    spec: DatasetSpec, item: Item, size: tuple[int, int], usual: tuple[int, int], number: int
) -> UserError:
    """The fault of an image whose (height, width) is not the usual one, that of so many images."""
    found = "{1}x{0}".format(*size)
    most = "{1}x{0}".format(*usual)
    # Those who name a data set are those whose images are resized.
    resize = f", or give --image_size={max(usual)}, which resizes all of them"
    return Fault(
        f"{_where(item)} has {found} pixels; {number:,} image{'s have' if number > 1 else ' has'} "
        f"{most}.",
        "All images of a data set must have one size: use a copy that has not been resized"
        f"{resize if spec.labels is None else ''}.",
    )


def _where(item: Item) -> str:
    return item.where or one_line(item.key)


def _channels(image: Image, item: Item) -> int:
    if isinstance(image, bytes):
        return decoding.native_channels(image, _where(item))
    return image.shape[2]


def _pixels(image: Image, item: Item, channels: int) -> np.ndarray:
    if not isinstance(image, bytes):
        return image
    if channels == 1 and decoding.native_channels(image, _where(item)) == 3:
        raise _ColourFound
    return decoding.decode(image, _where(item), channels)


def _hashed(item: Item, pixels: np.ndarray) -> Checked:
    digest = example_digest(pixels, item.label, subject=item.subject, votes=item.votes)
    return Checked(item, digest, pixel_hash(pixels))
