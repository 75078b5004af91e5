"""The fields of a config, and configs that were written before there were all of them."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest

import ferjax
from ferjax import losses, models
from ferjax.config import fields
from ferjax.config.fields import FIELDS, MODEL_NUMBERS
from ferjax.config.rules import Choice, Number
from ferjax.data.pipeline import batches, order, preprocess
from ferjax.distributed import sharding
from ferjax.evaluation import protocol, views
from ferjax.training import objective, optimizer, plateau
from tests.helpers import tiny
from tests.helpers.configs import made, put, refused

# Texts of which no list exists.
FREE = ("paper", "compilation_cache", "init_from", "dataset.data_dir")
VIEWS = ("single", "flip", "ten_crop")


def wrong(path, default):
    """Values that no field of this type may have, whatever the table says."""
    yield None
    if isinstance(default, bool):
        yield from (0, 1, "True", math.nan)
    elif isinstance(default, int):
        yield from (1.5, math.nan, math.inf, True, "1", -2, 10**12)
    elif isinstance(default, float):
        yield from (math.nan, math.inf, -math.inf, True, "1", -0.1, 10**12, 1e12)
    elif isinstance(default, str):
        yield from (1, True, math.nan, ("text",))
        yield from () if path in FREE else ("nonsense", "nan", "inf")
    else:
        yield from ("text", 1, (None,) * max(len(default), 1), (1, True), (math.nan,) * 2)
        if default and isinstance(default[0], float):
            yield from ((), default[:1], default * 2, (math.inf,) * 2, ("0.1", "0.2"), (-1.0, 0.5))
            yield from ((0.0, 0.5), (0.9, 0.1), (1e12, 1e12), (True, True))
        elif path not in ("departures", "trunks_from"):
            yield from ((), ("nonsense",), default[:1] * 2)


def beyond(rule):
    """The nearest numbers that a rule does not allow."""
    if isinstance(rule, Number):
        step = 1 if rule.whole else 1e-9
        yield from () if rule.least is None else (rule.least - step,)
        yield from () if rule.most is None else (rule.most + max(step, rule.most * 1e-9),)
        yield from (end for end in (rule.above, rule.below) if end is not None)


BAD = [
    (path, value)
    for path, field in FIELDS.items()
    for value in (*wrong(path, field.default), *beyond(field.rule))
] + [
    (path, value)
    for path, default in (("model.width", 1), ("model.dropout", 0.5))
    for value in (*wrong(path, default), *beyond(MODEL_NUMBERS[path].rule))
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_a_value_that_a_field_may_not_have_is_refused_by_its_name(path, value):
    config = made()
    if path in ("model.channels", "preprocess.normalization") or value == 1:
        config.preprocess.normalization = "dataset"  # so that no other field is to blame
    put(config, path, value)
    message = refused(config, path)
    assert message.endswith(f" It is {({**FIELDS, **MODEL_NUMBERS})[path].meaning}.")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("loss.name", "iland", "expected one of softmax, center, island. Did you mean 'island'"),
        ("optimizer.plateau.style", "kears", "Did you mean 'keras'"),
        ("optimizer.name", "sdg", "Did you mean 'sgd'"),
        ("evaluation.selection_view", "flop", "Did you mean 'flip'"),
        ("dataset.placement", "disc", "expected one of auto, device, host, stream"),
        ("dataset.name", "fer2031", "Did you mean 'fer2013'"),
        ("train.sampling", "balnced", "Did you mean 'balanced'"),
        ("model.name", "resnet19", "expected one of resnet10, resnet18"),
        ("model.dtype", "float16", "expected one of float32, bfloat16"),
        ("model.channels", 2, "expected one of 1, 3"),
        ("train.early_stopping_patience", -1, "at least 0"),
        ("seed", 2**32, "would repeat the random numbers of smaller seeds"),
        ("train.batch_size", 0, "at least 1"),
        ("train.num_epochs", 0, "at least 1"),
        ("optimizer.ema_decay", 1.0, "at least 0 and below 1"),
        ("optimizer.momentum", 1.0, "at least 0 and below 1"),
        ("optimizer.epsilon", 0.0, "above 0"),
        ("optimizer.plateau.factor", 1.0, "at least 0 and below 1"),
        ("loss.label_smoothing", 1.0, "at least 0 and below 1"),
        ("augment.flip", 1.01, "at least 0 and at most 1"),
        ("augment.shift", 4.0, "4 of 48 pixels are 0.0833"),
        ("augment.crop", 1.5, "above 0 and at most 1"),
        ("augment.crop", 0.0, "above 0 and at most 1"),
        ("augment.scale", (1.2, 0.8), "the smaller first"),
        ("augment.erasing_aspect", 0.5, "at least 1"),
        ("augment.rotation", 181, "at most 180"),
        ("loss.class_weights", "1+inf", "at least 0"),
        ("loss.class_weights", "0+0", "above 0"),
        ("trunks_from", ("a",), "0 or 2 values"),
        ("model.width", 0, "at least 1"),
        ("model.dropout", 1.0, "below 1"),
    ],
)
def test_what_is_said_of_it(path, value, message):
    config = made()
    put(config, path, value)
    assert message in refused(config, path)


def test_defaults_are_allowed_and_new_each_time():
    one, other = fields.defaults(), fields.defaults()
    one.augment.flip = 0.1
    assert other.augment.flip == 0.5
    for path, field in FIELDS.items():
        field.check(path, field.default)
        assert field.meaning and not field.meaning.endswith(".")


def test_what_the_table_allows_is_what_the_code_knows():
    known = {
        "protocol.name": protocol.LABELS,
        "evaluation.selection_view": views.NAMES,
        "dataset.placement": ("auto", *batches.PLACEMENTS),
        "train.sampling": order.SAMPLINGS,
        "train.parameter_placement": sharding.PLACEMENTS,
        "model.dtype": models.DTYPES,
        "model.batch_stats": models.BATCH_STATS,
        "model.name": models.NAMES,
        "preprocess.normalization": ("dataset", *preprocess.NORMALIZATIONS),
        "loss.name": objective.NAMES,
        "loss.center_reduction": losses.REDUCTIONS,
        "loss.center_distance": losses.DISTANCES,
        "loss.center_update": objective.CENTER_UPDATES,
        "loss.pairwise_on": objective.PAIRWISE_TERMS,
        "optimizer.plateau.metric": plateau.MODES,
    }
    for path, names in known.items():
        values = FIELDS[path].rule.values
        assert sorted(values() if callable(values) else values) == sorted(names), path
    for name in FIELDS["optimizer.name"].rule.values:
        optimizer.optimizer(name, learning_rate=0.1)
    for name in FIELDS["optimizer.schedule"].rule.values:
        optimizer.learning_rate_schedule(name, peak=0.1, num_steps=2)
    settings = fields.defaults().optimizer.plateau.to_dict()
    for style in FIELDS["optimizer.plateau.style"].rule.values:
        plateau.PlateauRule(**{**settings, "style": style})
    # Those are fields that the experiment hands on by name.
    assert set(settings) == {each.name for each in dataclasses.fields(plateau.PlateauRule)}


def test_every_choice_lists_its_default():
    for path, field in FIELDS.items():
        if isinstance(field.rule, Choice):
            assert str(field.default) in field.rule.allowed, path


def test_a_config_keeps_its_values_and_gets_the_fields_that_it_lacks(data_dir):
    config = tiny.config(data_dir, optimizer__momentum=0.5)
    del config.optimizer.epsilon, config.optimizer.plateau.cooldown
    del config.compilation_cache
    full = fields.completed(config)
    assert full.optimizer.epsilon == 1e-8 and full.optimizer.plateau.cooldown == 0
    assert full.compilation_cache == "" and "epsilon" not in config.optimizer
    assert full.optimizer.momentum == 0.5 and full.model.to_dict() == config.model.to_dict()


def test_a_run_of_an_older_version_can_be_used(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config = json.loads((workdir / "config.json").read_text())
    del config["optimizer"]["epsilon"]
    (workdir / "config.json").write_text(json.dumps(config))
    faces = np.full((2, 16, 16, 1), 99, np.uint8)
    found, _ = ferjax.load(workdir)(faces)
    expected, _ = ferjax.load(finished[0])(faces)
    np.testing.assert_array_equal(found, expected)
