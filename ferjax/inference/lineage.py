"""Which data trained weights, through all the runs that they go back to.

Result.json keeps it as `started_from`: one object for each source of weights, with the
`fingerprint` of its data and a `started_from` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class TrainedOn(NamedTuple):
    """A data set that trained weights.

    Attributes:
      weights: of which run.
      dataset: its name.
      fingerprint: of what was prepared.
      options: which decide what trained and what tests.
    """

    weights: str
    dataset: str
    fingerprint: str
    options: dict[str, Any]


def trained_on(identity: Mapping[str, Any]) -> Iterator[TrainedOn]:
    """The data of a run and of all that it goes back to; a file says nothing of its own."""
    if "fingerprint" in identity:
        names = ("weights", "dataset", "fingerprint", "options")
        yield TrainedOn(*(identity.get(name, "") for name in names))
    for origin in identity.get("started_from", ()):
        yield from trained_on(origin)


def first_other(fingerprint: str, started_from: Sequence[Mapping[str, Any]]) -> str:
    """The first run among those a run goes back to that was trained on other data, or ""."""
    data = (each for origin in started_from for each in trained_on(origin))
    return next((each.weights for each in data if each.fingerprint != fingerprint), "")
