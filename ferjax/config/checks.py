"""Checks a config against the table of fields, before anything is read, written or compiled."""

from __future__ import annotations

from collections.abc import Iterator

from ml_collections import ConfigDict
from ml_collections.config_dict import RequiredValueError

from ferjax import models
from ferjax.config.fields import FIELDS, MODEL_NUMBERS, OPEN_GROUPS
from ferjax.config.rules import like
from ferjax.data.splits import splitters
from ferjax.errors import UserError, nearest


def check(config: ConfigDict) -> None:
    """Checks every field of a config, and of the configs of a fusion's trunks.

    What the config alone cannot tell is checked later: the options of a data set when it is opened,
    text options of a model when it is built, batch sizes when the devices are known.

    Args:
      config: a config that a file in configs/ made, frozen or not.

    Raises:
      UserError: an unknown or missing field, a value of another type, not allowed or out of range,
        or fields that contradict each other. The message names the field, for a trunk as
        `stages.NAME.FIELD`.
    """
    _check(config, "")


def _check(config: ConfigDict, prefix: str) -> None:
    found = dict(_values(config))
    for path, value in found.items():
        _check_exists(path, value, prefix)
    for path in (*FIELDS, *OPEN_GROUPS):
        if path not in found:
            raise UserError(
                f"The config has no {prefix}{path}; make it by fields.defaults, or complete one of "
                "an older version by fields.completed."
            )
    for path, field in FIELDS.items():
        field.check(f"{prefix}{path}", found[path])
    _check_model(config.model, f"{prefix}model")
    for option, value in config.dataset.options.items():
        like(value).check(f"{prefix}dataset.options.{option}", value)
    _check_together(config, prefix)
    for name, stage in config.stages.items():
        if not isinstance(stage, ConfigDict):
            raise UserError(f"{prefix}stages.{name} is {stage!r}; expected a config of its own.")
        _check(stage, f"{prefix}stages.{name}.")


def _values(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The dotted path and the value of each field; an open group counts as one field."""
    for name in config:
        path = f"{prefix}{name}"
        try:
            value = config[name]
        except RequiredValueError:
            raise UserError(f"{path} has no value, and the config requires one; set it.") from None
        if isinstance(value, ConfigDict) and path not in OPEN_GROUPS:
            yield from _values(value, f"{path}.")
        else:
            yield path, value


def _check_exists(path: str, value: object, prefix: str) -> None:
    """Refuses a field that is not in the table; `_check_model` checks options of models."""
    is_group = any(known.startswith(f"{path}.") for known in FIELDS)
    if is_group or (path in OPEN_GROUPS and not isinstance(value, ConfigDict)):
        raise UserError(f"{prefix}{path} is {value!r}; expected a group of fields.")
    if path not in FIELDS and path not in OPEN_GROUPS and not path.startswith("model."):
        raise UserError(f"There is no config field '{prefix}{path}'.{nearest(path, FIELDS)}")


def _check_model(model: ConfigDict, prefix: str) -> None:
    """Checks the model's own options; the fields of every model are in the table."""
    known = models.options(model.name)
    for option, value in model.items():
        path = f"model.{option}"
        if path in FIELDS:
            continue
        if option not in known:
            raise UserError(
                f"There is no config field '{prefix}.{option}' of {model.name}, whose options are "
                f"{', '.join(known)}.{nearest(option, known)}"
            )
        if path in MODEL_NUMBERS:
            MODEL_NUMBERS[path].check(f"{prefix}.{option}", value)
        elif value is not None or known[option] is not None:
            like(known[option]).check(f"{prefix}.{option}", value)


def _check_together(config: ConfigDict, prefix: str) -> None:
    """Checks fields that must fit together."""
    protocol, train, optimizer = config.protocol, config.train, config.optimizer
    if protocol.name == "honest":
        if (protocol.selection, protocol.test) != ("validation", "test"):
            raise UserError(
                f"{prefix}protocol.name is 'honest', which selects on validation and tests on "
                f"test, but protocol.selection is {protocol.selection!r} and protocol.test "
                f"{protocol.test!r}; set protocol.name to 'paper'."
            )
        leak = splitters.leak(config.dataset.options.to_dict())
        if leak:
            raise UserError(
                f"{prefix}protocol.name is 'honest', but {leak}; set protocol.name to 'paper'."
            )
    normalization = config.preprocess.normalization
    if normalization in ("imagenet", "caffe") and config.model.channels == 1:
        raise UserError(
            f"{prefix}preprocess.normalization is {normalization!r}, which is of three channels, "
            "and model.channels is 1; set model.channels to 3: grey images are replicated."
        )
    trains = models.model_class(config.model.name).is_trainable
    if trains and optimizer.warmup_epochs >= train.num_epochs:
        raise UserError(
            f"{prefix}optimizer.warmup_epochs is {optimizer.warmup_epochs} and train.num_epochs "
            f"{train.num_epochs}; the warm-up must be shorter than the run."
        )
    parts = optimizer.accumulation_steps
    if train.batch_size % parts:
        lower = train.batch_size // parts * parts
        raise UserError(
            f"{prefix}train.batch_size is {train.batch_size}, which does not divide evenly by "
            f"optimizer.accumulation_steps, {parts}; use "
            f"{' or '.join(str(size) for size in (lower, lower + parts) if size)}."
        )
    given = {"stages": tuple(config.stages), "trunks_from": tuple(config.trunks_from)}
    for name, trunks in given.items():
        if trunks and "trunks" not in config.model:
            raise UserError(
                f"{prefix}{name} has {', '.join(trunks)}, and {config.model.name} has no trunks; "
                f"leave {name} empty, or set model.name to a fusion."
            )
