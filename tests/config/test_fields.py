"""The fields of a config, and configs that were written before there were all of them."""

import copy
import dataclasses
import functools
import importlib
import json
import math
import re
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict, FrozenConfigDict

from ferjax import losses, models
from ferjax.config import fields
from ferjax.config.checks import check
from ferjax.config.fields import FIELDS, MODEL_NUMBERS
from ferjax.config.rules import Choice, Number
from ferjax.data.pipeline import batches, order, preprocess
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.evaluation import protocol, views
from ferjax.training import loop, objective, optimizer, plateau, restored, sweep
from tests.helpers import tiny

# Texts of which no list exists.
FREE = ("paper", "compilation_cache", "init_from", "dataset.data_dir")
VIEWS = ("single", "flip", "ten_crop")


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
    with pytest.raises(UserError) as error:
        check(config)
    message = str(error.value)
    assert re.match(rf"{re.escape(path)}(\[\d+\])? is .*; expected ", message), message
    return message


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
        ("seed", 2**32, "the random numbers would be those of smaller seeds"),
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


@pytest.mark.parametrize("path", [*FIELDS, "stages", "dataset.options"])
def test_a_field_that_is_missing_is_named(path):
    config = made()
    *groups, name = path.split(".")
    group = config
    for one in groups:
        group = group[one]
    del group[name]
    with pytest.raises(UserError, match=rf"^The config has no {re.escape(path)}; make it by"):
        check(config)
    if not path.startswith("model."):  # whose defaults are of another model
        check(fields.completed(config))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "train.num_epoch",
            3,
            "There is no config field 'train.num_epoch'. Did you mean 'train.nu",
        ),
        ("sead", 3, "There is no config field 'sead'. Did you mean 'seed'?"),
        ("model.widht", 8, "There is no config field 'model.widht' of vgg19_attention, whose opti"),
        ("train", 3, "train is 3; expected a group of fields."),
        ("optimizer.plateau", 0.5, "optimizer.plateau is 0.5; expected a group of fields."),
        ("stages", 3, "stages is 3; expected a group of fields."),
        ("seed", ConfigDict({"first": 3}), "There is no config field 'seed.first'."),
        ("model.batch_norm", "yes", "model.batch_norm is 'yes'; expected True or False."),
        ("model.attention", 3, "model.attention is 3; expected a text."),
    ],
)
def test_a_field_that_does_not_exist_is_refused(path, value, message):
    config = made()
    put(config, path, value)
    with pytest.raises(UserError) as error:
        check(config)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol.selection": "test"}, "which selects on validation and tests on test"),
        ({"dataset.options.split_by": "image"}, "'honest', but the folds are of single images"),
        (
            {"preprocess.normalization": "imagenet", "model.channels": 1},
            "is of three channels, and model.channels is 1; set model.channels to 3",
        ),
        ({"optimizer.warmup_epochs": 300.0}, "optimizer.warmup_epochs is 300.0 and train.num_ep"),
        ({"optimizer.accumulation_steps": 3}, "accumulation_steps, 3; use 63 or 66."),
        ({"optimizer.accumulation_steps": 128}, "accumulation_steps, 128; use 128."),
        ({"stages": ConfigDict({"vgg11": ConfigDict()})}, "stages has vgg11, and vgg19_attention"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes, message):
    config = made()
    for path, value in changes.items():
        put(config, path, value)
    with pytest.raises(UserError) as error:
        check(config)
    assert message in str(error.value)


def test_fields_of_a_trunk_are_named_as_such():
    config = made("attention_fusion", "from_scratch")
    put(config.stages.resnet34, "train.num_epochs", 0)
    refused(config, "stages.resnet34.train.num_epochs")
    put(config.stages.resnet34, "train.num_epochs", 3)
    put(config.stages.resnet34, "train.epochs", 3)
    with pytest.raises(UserError, match=r"no config field 'stages\.resnet34\.train\.epochs'"):
        check(config)
    put(config, "stages.resnet34", 3)
    with pytest.raises(UserError, match=r"^stages\.resnet34 is 3; expected a config of its own"):
        check(config)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        *(("cbam_island", text) for text in ("", "budget=cpu", "dataset=synthetic")),
        ("cbam_island", "finetune,init_from=a.pth"),
        ("cbam_island", "recipe=strong,attention=none"),
        *(("se_cnn", text) for text in ("", "protocol=paper", "attention=none")),
        *(("vgg19_attention", text) for text in ("", "from_scratch", "attention=multiply")),
        *(
            ("attention_fusion", text)
            for text in ("", "from_scratch,recipe=strong", "tokens=batch")
        ),
        *(("attention_fusion", f"fusion={text}") for text in ("early", "joint", "late", "none")),
        ("attention_fusion", "trunks=vgg11+vgg13,trunks_from=a+b"),
    ],
)
def test_every_config_passes(name, argument):
    check(made(name, argument))
    check(FrozenConfigDict(made(name, argument)))


def test_a_config_from_json_passes():
    """A number without a fraction may come back as another type, and a tuple as a list."""
    config = ConfigDict(json.loads(made("attention_fusion", "recipe=strong").to_json()))
    put(config, "optimizer.warmup_epochs", 2)
    check(config)


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


@pytest.mark.parametrize("start", [loop.train, sweep.run])
def test_a_run_that_cannot_be_leaves_no_folder(start, tmp_path):
    config = tiny.config(tmp_path / "data", train__watchdog_minutes=-1.0)
    with pytest.raises(UserError, match=r"^train\.watchdog_minutes is -1\.0; expected"):
        start(config, str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "function", "arguments"),
    [
        ("ferjax.training.experiment", "build", ()),
        ("ferjax.performance.throughput", "measure", ()),
        ("ferjax.training.preflight", "check_start", ()),
    ],
)
def test_whoever_takes_a_config_checks_it_first(module, function, arguments, tmp_path):
    config = tiny.config(tmp_path)
    put(config, "dataset.limit_mib", math.nan)
    with pytest.raises(UserError, match=r"^dataset\.limit_mib is nan; expected"):
        getattr(importlib.import_module(module), function)(config, *arguments)


def test_a_config_keeps_its_values_and_gets_the_fields_that_it_lacks(data_dir):
    config = tiny.config(data_dir, optimizer__momentum=0.5)
    del config.optimizer.epsilon, config.optimizer.plateau.cooldown
    del config.compilation_cache
    made = fields.completed(config)
    assert made.optimizer.epsilon == 1e-8 and made.optimizer.plateau.cooldown == 0
    assert made.compilation_cache == "" and "epsilon" not in config.optimizer
    assert made.optimizer.momentum == 0.5 and made.model.to_dict() == config.model.to_dict()


def test_a_run_of_an_older_version_can_be_used(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    config = json.loads((workdir / "config.json").read_text())
    del config["optimizer"]["epsilon"]
    (workdir / "config.json").write_text(json.dumps(config))
    faces = np.full((2, 16, 16, 1), 99, np.uint8)
    found, _ = restored.classifier(workdir)(faces)
    expected, _ = restored.classifier(finished[0])(faces)
    np.testing.assert_array_equal(found, expected)
