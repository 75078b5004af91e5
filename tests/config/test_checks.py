"""A config as a whole: fields that are missing, unknown or contradict, trunks, and who checks."""

import importlib
import json
import math
import re

import pytest
from ml_collections import ConfigDict, FrozenConfigDict, config_dict

from ferjax.config import fields
from ferjax.config.checks import check
from ferjax.config.fields import FIELDS
from ferjax.errors import UserError
from ferjax.training import loop, sweep
from tests.helpers import tiny
from tests.helpers.configs import made, put, refused


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
        ({"trunks_from": ("a", "b")}, "trunks_from has a, b, and vgg19_attention has no trunks"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes, message):
    config = made()
    for path, value in changes.items():
        put(config, path, value)
    with pytest.raises(UserError) as error:
        check(config)
    assert message in str(error.value)


def test_a_field_that_a_config_requires_is_named():
    config = made()
    with config.unlocked():
        config.optimizer = ConfigDict({"momentum": config_dict.required_placeholder(float)})
    with pytest.raises(UserError, match=r"optimizer\.momentum has no value, and the config req"):
        check(config)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_options_of_a_data_set_are_finite(value):
    config = made()
    config.dataset.options.held_out = value
    with pytest.raises(UserError, match=r"dataset\.options\.held_out is (inf|nan); expected a num"):
        check(config)


def test_the_warm_up_of_what_trains_nothing_is_not_held_against_it():
    for fusion, refusal in (("late", False), ("early", True)):
        config = made("attention_fusion", f"fusion={fusion},trunks_from=A+B")
        put(config, "optimizer.warmup_epochs", 2.0)
        put(config, "train.num_epochs", 1)
        if refusal:
            with pytest.raises(UserError, match=r"the warm-up must be shorter than the run"):
                check(config)
        else:
            check(config)


def test_the_trunks_of_an_older_fusion_are_completed_too():
    config = made("attention_fusion", "from_scratch")
    for stage in config.stages.values():
        del stage.optimizer.epsilon, stage.augment.crop
    with pytest.raises(UserError, match=r"The config has no stages\.\w+\.(augment|optimizer)\."):
        check(config)
    check(fields.completed(config))


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
