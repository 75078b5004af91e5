"""The examples that a reader finds in a source; their images are read one at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Image = bytes | np.ndarray


@dataclass(frozen=True)
class Item:
    """One example of a source.

    Attributes:
      key: where the image is, unique within its split.
      label: index into the names of the label space.
      image: returns the image when called, at most a few times: the bytes of a JPEG or PNG file,
        which are stored as they are, or uint8 [H, W, C]; raises a UserError that names the file.
        What is wrong with an image is told here, so that all such images are told together.
      subject: the person shown, "" if not known.
      votes: how many people chose each entry of a ballot, () if there is no ballot.
      where: how to call the image in a message; "" for its key.
    """

    key: str
    label: int
    image: Callable[[], Image]
    subject: str = ""
    votes: tuple[int, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Reading:
    """The form and the content of a source.

    Attributes:
      source_format: the form of the source, such as "zip" or "fer2013.csv".
      splits: the examples of each stored split, in the order of the source.
      names: the class names, if the source and not the catalog has them; else ().
      notes: sentences about what was left out, for the user to read.
      remarks: sentences about images that are not read, and about folders whose meaning is
        inferred, which may explain that other images are found than those of a whole copy.
      numbers: for each stored split whose images are numbered from 1 in a whole copy, the numbers
        that were found.
    """

    source_format: str
    splits: Mapping[str, Sequence[Item]]
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    remarks: tuple[str, ...] = ()
    numbers: Mapping[str, Collection[int]] = field(default_factory=dict)


# `reader(path, on_item, **options) -> Reading` reads an existing file or folder. It calls `on_item`
# after each example that costs time to find. It raises a UserError if the source is not the data
# set in a known form, or is damaged; it does not check the number of examples.
Reader = Callable[..., Reading]
