"""What a reader finds in a source: examples whose images are read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ferjax.data.examples import Examples

Image = bytes | np.ndarray


@dataclass(frozen=True)
class Item:
    """One example of a source.

    Attributes:
      key: where the image is, unique within its split.
      label: index into the names of the label space.
      image: called for the image, at most a few times: the bytes of a JPEG or PNG file, which are
        stored as they are, or uint8 [H, W, C]; raises a UserError that names the file.
      subject: who is shown, "" where the data set does not say.
      votes: how many people chose each entry of a ballot, () where there was none.
    """

    key: str
    label: int
    image: Callable[[], Image]
    subject: str = ""
    votes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What a source turned out to be, and what is in it.

    Attributes:
      source_format: what the source is called, as "zip" or "fer2013.csv".
      splits: the examples of each stored split, in the order of the source.
      names: the class names, where the source and not the catalog has them; ().
      notes: sentences about what was left out, for the user to read.
    """

    source_format: str
    splits: Mapping[str, Sequence[Item]]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


# `reader(path, on_item, **options) -> Reading` reads a source that exists, a file or a folder.
# `on_item` is called after each example that costs time to find. A UserError says that a source is
# not the data set in a known form or is damaged; how many examples it has is not checked there.
Reader = Callable[..., Reading]


def items_of(examples: Examples) -> list[Item]:
    """Examples in memory as items."""

    def one(index: int) -> Item:
        return Item(
            examples.keys[index],
            int(examples.labels[index]),
            lambda: examples.images[index],
            subject=examples.subjects[index] if examples.subjects else "",
        )

    return [one(index) for index in range(len(examples))]
