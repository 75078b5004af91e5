"""A fingerprint of the content of a data set, so that every result says what it was made from.

Shape letters: N examples, H W C image.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Integer, UInt8

from ferjax.data.examples import Examples


def example_digests(
    images: UInt8[np.ndarray, "N H W C"], labels: Integer[np.ndarray, "N"]
) -> list[bytes]:
    """The sha256 of each example: of its shape, its label and its pixels. 32 bytes each."""
    shape = np.asarray(images.shape[1:], dtype="<i8").tobytes()
    prefixes = labels.astype("<i8")
    return [
        hashlib.sha256(shape + prefixes[i].tobytes() + images[i].tobytes()).digest()
        for i in range(len(images))
    ]


def fingerprint(images: UInt8[np.ndarray, "N H W C"], labels: Integer[np.ndarray, "N"]) -> str:
    """64 hex digits that depend on every pixel and label, and not on the order of the examples."""
    return hashlib.sha256(b"".join(sorted(example_digests(images, labels)))).hexdigest()


def fingerprint_splits(splits: Mapping[str, Examples]) -> str:
    """64 hex digits of a whole data set; they also depend on which split an example is in.

    The names of the files that the images came from do not count, nor does the order.
    """
    lines = [
        f"{name} {fingerprint(examples.images, examples.labels)}\n"
        for name, examples in sorted(splits.items())
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
