"""Copies of images that a search for near duplicates must find, and how well it finds them.

    python -m tests.helpers.planted

prints recall for each kind of copy, and precision: on synthetic faces, and on every sixth image of
the zip that FERJAX_TEST_FER2013 names.
"""

import io
import os
import sys
import tempfile
from typing import NamedTuple

import numpy as np
from PIL import Image

from ferjax.data import catalog, dataset
from ferjax.data.audit import image_scan, near_duplicates
from ferjax.data.prepare import preparation
from ferjax.data.synthetic import faces


def jpeg(image, quality=50):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(buffer.getvalue())))


def scaled(image, factor):
    return np.clip(np.round(image * factor), 0, 255).astype(np.uint8)


def shifted(image, down, right):
    """Moved by whole pixels; what comes in repeats the edge."""
    most = max(abs(down), abs(right))
    padded = np.pad(image, ((most, most), (most, most)), mode="edge")
    height, width = image.shape
    top, left = most - down, most - right
    return padded[top : top + height, left : left + width]


KINDS = {
    "mirrored": lambda image: image[:, ::-1],
    "10 % brighter": lambda image: scaled(image, 1.1),
    "10 % darker": lambda image: scaled(image, 0.9),
    "JPEG quality 50": jpeg,
    "2 px right": lambda image: shifted(image, 0, 2),
    "2 px left": lambda image: shifted(image, 0, -2),
    "2 px down": lambda image: shifted(image, 2, 0),
    "2 px up": lambda image: shifted(image, -2, 0),
    "2 px down and right": lambda image: shifted(image, 2, 2),
    "all of these": lambda image: jpeg(scaled(shifted(image, -2, 2), 1.1)[:, ::-1]),
}


class Measured(NamedTuple):
    """How well a search did.

    Attributes:
      recall: by kind of copy.
      precision: of the pairs that touch a copy.
      touched: how many pairs those are.
      own: how many pairs the images hold without copies.
    """

    recall: dict[str, float]
    precision: float
    touched: int
    own: int


def measure(greys, chosen):
    """Plants a copy of each kind of the chosen images among all of them, and searches.

    Args:
      greys: uint8 [N, S, S], distinct images, with contrast.
      chosen: indices of originals.

    A pair of a copy counts as right if it is with its original or with another copy of that. It is
    left aside if the search also pairs the two originals: data sets hold near duplicates of their
    own.
    """
    before = near_duplicates.find(greys)
    own = set(zip(before.first.tolist(), before.second.tolist(), strict=True))
    copies = np.stack([change(greys[one]) for change in KINDS.values() for one in chosen])
    origin = np.concatenate([np.arange(len(greys)), np.tile(chosen, len(KINDS))])
    pairs = near_duplicates.find(np.concatenate([greys, copies]))
    found = np.zeros(len(origin), bool)
    right = wrong = 0
    for one, other in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
        if max(one, other) < len(greys):
            continue
        if origin[one] == origin[other]:
            right += 1
            if min(one, other) < len(greys):
                found[max(one, other)] = True
        elif (min(origin[[one, other]]), max(origin[[one, other]])) not in own:
            wrong += 1
    of_kind = found[len(greys) :].reshape(len(KINDS), len(chosen)).mean(1)
    recall = dict(zip(KINDS, of_kind.tolist(), strict=True))
    return Measured(recall, right / max(1, right + wrong), right + wrong, len(own))


def synthetic(count, image_size=48):
    """Grey small copies of faces of `count` persons, one expression of each."""
    numbers = np.arange(count)
    images = faces.render_faces(7 * numbers + numbers % 7, image_size=image_size)
    return image_scan.small_greys(images)


def fer2013(opened):
    """The distinct images of FER2013, opened, that have contrast, as uint8 [N, 48, 48]."""
    greys = np.concatenate([opened.load(split).images[..., 0] for split in catalog.SPLITS])
    greys = np.unique(greys, axis=0)
    return greys[greys.std((1, 2)) >= near_duplicates.MIN_CONTRAST]


def report(name, greys, chosen):
    recall, precision, touched, own = measure(greys, chosen)
    print(f"{name}: {len(greys):,} images, {own:,} pairs of their own; {len(chosen):,} originals")
    for kind, value in recall.items():
        print(f"  recall {100 * value:6.2f} %  {kind}")
    print(f"  precision {100 * precision:.3f} % of {touched:,} pairs with a copy", flush=True)


def main():
    generator = np.random.default_rng(0)
    greys = synthetic(6000)
    report("synthetic faces", greys, generator.choice(len(greys), 500, replace=False))
    if "FERJAX_TEST_FER2013" in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            preparation.prepare(catalog.FER2013, os.environ["FERJAX_TEST_FER2013"], folder)
            greys = fer2013(dataset.open_dataset("fer2013", folder))[::6]
        report("FER2013", greys, generator.choice(len(greys), 250, replace=False))
    else:
        print("FER2013 is not measured: FERJAX_TEST_FER2013 does not name its zip")


if __name__ == "__main__":
    sys.exit(main())
