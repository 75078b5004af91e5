"""Which of a user's images the model has seen, and which are copies of each other.

An image is known by the hash of its pixels in the shape of the training images. Shapes: N images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from ferjax.errors import one_line

# Of the images in several classes, a warning names as many.
_NAMED = 3


class Counts(NamedTuple):
    """How many images are not clean.

    Attributes:
      seen: images that trained or selected the model.
      repeated: others, of which there is an earlier copy.
    """

    seen: int
    repeated: int

    def note(self, total: int, clean: str) -> str:
        """A sentence on these images; "" if there are none.

        Args:
          total: how many images there are.
          clean: the name of the group that leaves them out; "" if it would be empty.
        """
        parts = []
        if self.seen:
            parts.append(f"{self.seen:,} of {total:,} images trained or selected the model")
        if self.repeated:
            verb = "repeats" if self.repeated == 1 else "repeat"
            parts.append(f"{self.repeated:,} of {total:,} images {verb} an earlier one")
        if not parts:
            return ""
        left = f"; {clean} leaves them out" if clean else ""
        return f"{', and '.join(parts)}{left}."


def count(hashes: Mapping[int, bytes], seen: Collection[bytes]) -> Counts:
    """Counts images.

    Args:
      hashes: the hash of each image, by its position.
      seen: the hashes of the images that trained or selected the model.
    """
    known = set(seen)
    others = [one for one in hashes.values() if one not in known]
    return Counts(len(hashes) - len(others), len(others) - len(set(others)))


def contradictions(
    hashes: Mapping[int, bytes], labels: Int[np.ndarray, " N"], names: Sequence[str]
) -> list[str]:
    """At most one sentence: which images have copies in other classes.

    Args:
      hashes: the hash of each image that could be read, by its position.
      labels: the class of each image.
      names: the file of each image.
    """
    first: dict[bytes, int] = {}
    found: dict[bytes, tuple[int, int]] = {}
    for at, content in sorted(hashes.items()):
        earlier = first.setdefault(content, at)
        if labels[earlier] != labels[at]:
            found.setdefault(content, (earlier, at))
    if not found:
        return []
    pairs = [
        " and ".join(one_line(names[at]) for at in both) for both in list(found.values())[:_NAMED]
    ]
    more = "; ..." if len(found) > _NAMED else ""
    number = "1 image stands" if len(found) == 1 else f"{len(found):,} images stand"
    return [
        f"{number} in several class folders ({'; '.join(pairs)}{more}): with one prediction, only "
        "one of these classes can be right. Keep each image in the folder of its class alone."
    ]
