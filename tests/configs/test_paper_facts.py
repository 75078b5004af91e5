"""What the papers state of their training, and how their silence is filled, is in the configs.

One row for each config: the field, and its value there.
"""

import pytest

from tests.helpers import tiny

CASES = {
    "tran2023": (
        "attention_fusion",
        "trunk_init=a.npz+b.npz",
        {
            "dataset.name": "raf_db",
            "departures": (),
            "model.image_size": 224,
            "model.channels": 3,
            "model.stem": "imagenet",
            "model.trunks": ("resnet18", "resnet34"),
            "model.tokens": "space",
            "model.feature": "map",
            "model.projections": False,
            "model.frozen": True,
            "train.batch_size": 48,
            "train.num_epochs": 50,
            "train.early_stopping_patience": 0,
            "optimizer.name": "radam",
            "optimizer.learning_rate": 1e-4,
            "optimizer.weight_decay": 1e-4,
            "optimizer.schedule": "constant",
            "optimizer.plateau.factor": 0.1,
            "optimizer.plateau.patience": 2,
            "optimizer.plateau.metric": "accuracy",
            "loss.name": "softmax",
            "preprocess.normalization": "imagenet",
            "augment.flip": 0.5,
            "augment.rotation": 30.0,
            "augment.rotation_probability": 0.5,
            "augment.desaturation": 0.5,
            "augment.shift": 0.0,
        },
    ),
    "tam2021": (
        "vgg19_attention",
        "init_from=vgg19.npz",
        {
            "dataset.name": "fer2013",
            "departures": (),
            "model.image_size": 224,
            "model.channels": 3,
            "model.dropout": 0.5,
            "model.attention_bias": False,
            "train.batch_size": 64,
            "train.num_epochs": 300,
            "optimizer.name": "sgd",
            "optimizer.nesterov": True,
            "optimizer.momentum": 0.9,
            "optimizer.learning_rate": 1e-3,
            "optimizer.weight_decay": 1e-4,
            "optimizer.schedule": "constant",
            "optimizer.plateau.factor": 0.75,
            "optimizer.plateau.patience": 5,
            "optimizer.plateau.metric": "accuracy",
            "loss.name": "softmax",
            "preprocess.normalization": "imagenet",
            "augment.flip": 0.5,
            "augment.shift": 4 / 48,
        },
    ),
    "luo2023": (
        "se_cnn",
        "",
        {
            "dataset.name": "fer2013",
            "departures": (),
            "model.image_size": 48,
            "model.channels": 1,
            "model.width": 64,
            "model.se_position": "block",
            "model.batch_norm": True,
            "train.batch_size": 64,
            "train.num_epochs": 100,
            "train.early_stopping_patience": 16,
            "optimizer.name": "adam",
            "optimizer.learning_rate": 2e-3,
            "optimizer.epsilon": 1e-7,
            "optimizer.weight_decay": 0.0,
            "optimizer.schedule": "constant",
            "optimizer.plateau.factor": 0.5,
            "optimizer.plateau.patience": 5,
            "optimizer.plateau.metric": "accuracy",
            "optimizer.plateau.style": "keras",
            "loss.name": "softmax",
            "preprocess.normalization": "unit",
            "augment.flip": 0.0,
            "augment.shift": 0.1,
            "augment.subpixel": True,
        },
    ),
    "sun2021": (
        "cbam_island",
        "",
        {
            "dataset.name": "fer2013",
            "departures": (),
            "model.image_size": 48,
            "model.channels": 1,
            "model.stem": "small",
            "train.batch_size": 128,
            "train.num_epochs": 200,
            "optimizer.name": "sgd",
            "optimizer.momentum": 0.9,
            "optimizer.nesterov": False,
            "optimizer.learning_rate": 1e-2,
            "optimizer.weight_decay": 5e-4,
            "optimizer.schedule": "cosine",
            "loss.name": "island",
            "loss.weight": 0.5,
            "loss.pairwise_weight": 0.5,
            "loss.center_reduction": "element",  # as a mean over the batch it does not train
            "loss.center_learning_rate": 0.5,
            "preprocess.normalization": "dataset",
            "augment.flip": 0.5,
            "augment.shift": 4 / 48,
        },
    ),
}


def field(config, path):
    for name in path.split("."):
        config = config[name]
    return config


@pytest.mark.parametrize("paper", CASES)
def test_training_is_the_papers(paper):
    name, argument, facts = CASES[paper]
    config = tiny.module(name).get_config(argument)
    assert config.paper == paper
    assert {path: field(config, path) for path in facts} == facts


def test_trunks_are_trained_as_the_fusion_is():
    name, argument, facts = CASES["tran2023"]
    for trunk, stage in tiny.module(name).get_config(argument).stages.items():
        shared = {path: value for path, value in facts.items() if not path.startswith("model.")}
        assert {path: field(stage, path) for path in shared} == shared
        assert stage.init_from == {"resnet18": "a.npz", "resnet34": "b.npz"}[trunk]


def test_without_imagenet_weights_the_learning_rate_is_that_of_scratch():
    fusion = tiny.module("attention_fusion").get_config("from_scratch")
    rates = [stage.optimizer.learning_rate for stage in fusion.stages.values()]
    assert (fusion.optimizer.learning_rate, rates) == (1e-3, [1e-3, 1e-3])


@pytest.mark.parametrize(
    ("name", "selection", "test"),
    [
        ("attention_fusion", "test", "test"),
        ("vgg19_attention", "test", "test"),
        ("se_cnn", "validation+test", "validation+test"),
        ("cbam_island", "test", "test"),
    ],
)
def test_each_papers_own_protocol(name, selection, test):
    get_config = tiny.module(name).get_config
    for argument, expected in (
        ("", ("honest", "validation", "test")),
        ("protocol=paper", ("paper", selection, test)),
    ):
        config = get_config(argument)
        for one in (config, *config.stages.values()):
            protocol = one.protocol
            assert (protocol.name, protocol.selection, protocol.test) == expected
