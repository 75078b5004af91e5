"""The examples that a reader finds in a source; their images are read one at a time."""

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
      image: returns the image when called, at most a few times: the bytes of a JPEG or PNG file,
        which are stored as they are, or uint8 [H, W, C]; raises a UserError that names the file.
      subject: the person shown, "" if not known.
      votes: how many people chose each entry of a ballot, () if there is no ballot.
    """

    key: str
    label: int
    image: Callable[[], Image]
    subject: str = ""
    votes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reading:
    """The form and the content of a source.

    Attributes:
      source_format: the form of the source, such as "zip" or "fer2013.csv".
      splits: the examples of each stored split, in the order of the source.
      names: the class names, if the source and not the catalog has them; else ().
      notes: sentences about what was left out, for the user to read.
    """

    source_format: str
    splits: Mapping[str, Sequence[Item]]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


# `reader(path, on_item, **options) -> Reading` reads an existing file or folder. It calls `on_item`
# after each example that costs time to find. It raises a UserError if the source is not the data
# set in a known form, or is damaged; it does not check the number of examples.
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
