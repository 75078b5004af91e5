"""A fingerprint of the content of a data set, so that every result names its data.

Shape letters: H W C image.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8


def pixel_hash(image: UInt8[np.ndarray, "H W C"]) -> bytes:
    """The SHA-256 of the shape and the pixels of an image: equal for exact copies alone."""
    return hashlib.sha256(_shape(image) + image.tobytes()).digest()


def example_digest(
    image: UInt8[np.ndarray, "H W C"],
    label: int | np.integer,
    *,
    subject: str = "",
    votes: Sequence[int] = (),
) -> bytes:
    """The SHA-256 of all that is known of an example: shape, label, pixels, subject and votes."""
    digest = hashlib.sha256(_shape(image) + np.asarray(label, "<i8").tobytes() + image.tobytes())
    if subject or votes:
        digest.update(b"\0" + subject.encode() + b"\0" + np.asarray(votes, "<i8").tobytes())
    return digest.digest()


def fingerprint(digests: Mapping[str, Iterable[bytes]]) -> str:
    """64 hex digits of a whole data set, from the digests of the examples of each split.

    They depend on every example and on the split it is in, not on the order of the examples nor on
    the names of the files that the images came from.
    """
    return of_splits({name: split_digest(split) for name, split in digests.items()})


def split_digest(digests: Iterable[bytes]) -> str:
    """64 hex digits of a split, from the digests of its examples in any order."""
    return hashlib.sha256(b"".join(sorted(digests))).hexdigest()


def of_splits(digests: Mapping[str, str]) -> str:
    """The fingerprint of a whole data set, from the `split_digest` of each split."""
    lines = [f"{name} {digest}\n" for name, digest in sorted(digests.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _shape(image: np.ndarray) -> bytes:
    return np.asarray(image.shape, dtype="<i8").tobytes()
