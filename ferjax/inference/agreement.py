"""Whether the files of a run directory are of one run: what two of them say must be the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax.data.pipeline import preprocess
from ferjax.errors import UserError
from ferjax.filesystem import Place
from ferjax.inference.model_spec import ModelSpec

_SHOWN = 80  # characters of a value in a message


def check(
    where: str | Place,
    *,
    config: ConfigDict | FrozenConfigDict | None = None,
    result: Mapping[str, Any] | None = None,
    spec: ModelSpec | None = None,
    best_step: int | None = None,
) -> None:
    """Compares those that were read.

    Args:
      where: the run directory.
      config: of its config.json, complete.
      result: its result.json.
      spec: of its checkpoint.
      best_step: updates made at its best checkpoint.

    Raises:
      UserError: two of them differ; it says which, and in what.
    """
    if config is not None and result is not None:
        _compare(where, ("config.json", _of_config(config)), ("result.json", _of_result(result)))
    if spec is not None and result is not None:
        told = {**_of_result(result), "step": result["selection"]["step"]}
        found = _of_spec(spec) | ({} if best_step is None else {"step": best_step})
        _compare(where, ("result.json", told), ("the checkpoint", found))
    if config is not None and spec is not None:
        wanted = {
            **_of_config(config),
            **_prefixed("model", config.model.to_dict()),
            **_prefixed("preprocessing", _preprocessing(config, spec)),
        }
        found = {
            **_of_spec(spec),
            **_prefixed("model", spec.model),
            **_prefixed("preprocessing", spec.preprocessing.to_dict()),
        }
        _compare(where, ("config.json", wanted), ("the checkpoint", found))


def _of_config(config: ConfigDict | FrozenConfigDict) -> dict[str, Any]:
    return {
        "paper": config.paper,
        "seed": config.seed,
        "dataset": config.dataset.name,
        "options": config.dataset.options.to_dict(),
    }


def _of_result(result: Mapping[str, Any]) -> dict[str, Any]:
    names = ("paper", "seed", "dataset", "options", "fingerprint", "labels")
    return {name: result[name] for name in names}


def _of_spec(spec: ModelSpec) -> dict[str, Any]:
    names = ("dataset", "fingerprint", "labels", "options", "seed")
    known = {name: getattr(spec, name) for name in names}
    return {name: value for name, value in known.items() if value is not None}


def _preprocessing(config: ConfigDict | FrozenConfigDict, spec: ModelSpec) -> dict[str, Any]:
    """What the config makes of images like those of the checkpoint.

    Statistics of the training images are known to the checkpoint alone.
    """
    normalization, found = config.preprocess.normalization, spec.preprocessing
    measured = normalization == "dataset"
    made = preprocess.create(
        "unit" if measured else normalization,
        native_shape=spec.native_shape,
        image_size=config.model.image_size,
        channels=config.model.channels,
        crop=config.augment.crop,
        training_images=lambda: np.zeros((0, *spec.native_shape), np.uint8),
    )
    if measured and len(made.mean) == len(found.mean):
        made = dataclasses.replace(made, mean=found.mean, std=found.std)
    return made.to_dict()


def _prefixed(group: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{group}.{name}": value for name, value in fields.items()}


def _compare(
    where: str | Place, one: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]]
) -> None:
    (first, said), (second, found) = one, other
    for name, value in said.items():
        if name not in found:
            continue
        # A tuple is a list in JSON, and objects may have another order.
        here, there = (json.dumps(each, sort_keys=True) for each in (value, found[name]))
        if here != there:
            raise UserError(
                f"{where} holds files of two runs: {name} is {_cut(here)} in {first} and "
                f"{_cut(there)} in {second}. Restore the folder from a copy, or train again in an "
                "empty workdir."
            )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
