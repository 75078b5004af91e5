"""Configs with values that they may not have."""

import copy
import functools
import re

import pytest

from ferjax.config.checks import check
from ferjax.errors import UserError
from tests.helpers import tiny


@functools.cache
def loaded(name, argument):
    return tiny.module(name).get_config(argument)


def made(name="vgg19_attention", argument="from_scratch"):
    """By default of a model that has every number among the options of models."""
    return copy.deepcopy(loaded(name, argument))


def put(config, path, value):
    """Sets a field to a value of any type."""
    *groups, name = path.split(".")
    for group in groups:
        config = config[group]
    if name in config:  # to whose type it would convert the value
        del config[name]
    config[name] = value


def refused(config, path):
    """The message by which the check refuses a config for a value of one field."""
    with pytest.raises(UserError) as error:
        check(config)
    message = str(error.value)
    assert re.match(rf"{re.escape(path)}(\[\d+\])? is .*; expected ", message), message
    return message
