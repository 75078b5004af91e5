"""The data that trained weights: of their run, and of all runs that it started from.

result.json has them as `started_from`: one object for each source of weights, with the
`fingerprint` of its data and a `started_from` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class TrainedOn(NamedTuple):
    """A data set that trained weights.

    Attributes:
      weights: the path of the run.
      dataset: its name.
      fingerprint: the fingerprint of the prepared data.
      options: its options; they decide which images train and which test.
    """

    weights: str
    dataset: str
    fingerprint: str
    options: dict[str, Any]


def trained_on(identity: Mapping[str, Any]) -> Iterator[TrainedOn]:
    """The data of a run and of all runs that it started from; a weight file has none."""
    if "fingerprint" in identity:
        names = ("weights", "dataset", "fingerprint", "options")
        yield TrainedOn(*(identity.get(name, "") for name in names))
    for origin in identity.get("started_from", ()):
        yield from trained_on(origin)


def first_other(fingerprint: str, started_from: Sequence[Mapping[str, Any]]) -> str:
    """The first run in `started_from`, at any depth, trained on other data, or ""."""
    data = (each for origin in started_from for each in trained_on(origin))
    return next((each.weights for each in data if each.fingerprint != fingerprint), "")
