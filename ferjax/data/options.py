"""Options of a data set as text: `fold=3,split_by=image`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from ferjax.cli.pairs import TRUTH, parse_pairs
from ferjax.data import catalog
from ferjax.data.splits import splitters
from ferjax.errors import UserError, nearest


def known(dataset: str) -> dict[str, Any]:
    """The options of a data set, with their defaults.

    Raises:
      UserError: there is no such data set.
    """
    spec = catalog.find(dataset)
    if spec is not catalog.SYNTHETIC:
        return splitters.options(spec.scheme)
    from ferjax.data.synthetic.builder import prepare_synthetic

    parameters = list(inspect.signature(prepare_synthetic).parameters.values())
    return {parameter.name: parameter.default for parameter in parameters[1:]}


def parse(dataset: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Reads `name=value` pairs; each value gets the type of its default.

    Returns:
      The options that were given, for `dataset.open_dataset`.

    Raises:
      UserError: there is no such data set or option, one is given twice, or a value is of another
        type.
    """
    defaults = known(dataset)
    options: dict[str, Any] = {}
    for name, text in parse_pairs("--options", pairs).items():
        if name not in defaults:
            listing = f"There are: {', '.join(defaults)}." if defaults else "It has none."
            raise UserError(
                f"--options: the data set {dataset} has no option {name!r}."
                f"{nearest(name, defaults)} {listing}"
            )
        if not text:
            raise UserError(f"--options has {name!r}; expected NAME=VALUE, such as {name}=...")
        kind = type(defaults[name])
        try:
            options[name] = TRUTH[text.lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise UserError(
                f"--options: {name} is {text!r}; expected a value like {defaults[name]!r}."
            ) from None
    return options
