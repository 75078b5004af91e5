"""Every field of a config: its default, its allowed values, and its meaning.

This is the one place for all three. A file in configs/ calls `defaults` and changes some; `checks`
checks a config against the table, and configs/README.md shows it. Options of models and data sets
are not here: `models.options(NAME)` and `data.options.known(NAME)` list them.
"""

from __future__ import annotations

import functools

from ml_collections import ConfigDict

from ferjax.config.rules import Choice, Field, Flag, Items, NameOrNumbers, Number, Text
from ferjax.data import catalog


def _models() -> tuple[str, ...]:
    """Imported when they are asked for: a config is made before JAX is loaded."""
    from ferjax import models

    return models.NAMES


_WHOLE = functools.partial(Number, whole=True)
_SHARE, _BELOW_ONE = Number(least=0, most=1), Number(least=0, below=1)
_UP_TO_A_MILLION = Number(least=0, most=1_000_000)
_EPOCHS = 100_000
_BATCH = _WHOLE(least=1, most=2**20)
_VIEW = Choice(("single", "flip", "ten_crop"))

FIELDS = {
    "paper": Field("", Text(), "the key of the paper that the config repeats; empty: none"),
    "departures": Field((), Items(Text()), "how the run differs from its paper, a sentence each"),
    "seed": Field(
        0,
        _WHOLE(least=0, below=2**32),
        "the seed of weights, order and augmentation; seeds from 2^32 on would repeat the random "
        "numbers of smaller seeds",
    ),
    "compilation_cache": Field("", Text(), "the folder of compiled programs; empty: none"),
    "init_from": Field("", Text(), "a run directory or a file of weights; empty: fresh weights"),
    "paper_start": Field(
        "",
        Choice(("", "imagenet")),
        "what the paper starts from: without such weights in init_from a run is refused",
    ),
    "trunks_from": Field(
        (),
        Items(Text(), lengths=(0, 2)),
        "the runs or files of weights of a fusion's two trunks; none: the runs of its stages",
    ),
    "protocol.name": Field(
        "honest",
        Choice(("honest", "paper")),
        "how an epoch is selected: as a paper did it (paper), its numbers are called optimistic",
    ),
    "protocol.selection": Field(
        "validation", Choice(catalog.HELD_OUT_SPLITS), "the split that selects the epoch"
    ),
    "protocol.test": Field("test", Choice(catalog.HELD_OUT_SPLITS), "the split that is reported"),
    "dataset.name": Field("fer2013", Choice(tuple(catalog.DATASETS)), "the data set"),
    "dataset.data_dir": Field(
        "", Text(), "the folder of prepared data; empty: FERJAX_DATA_DIR or the user's cache folder"
    ),
    "dataset.placement": Field(
        "auto",
        Choice(("auto", "device", "host", "stream")),
        "where the pixels are: on the device, in host memory, decoded from their files again and "
        "again (stream), or on the device where a split fits into the limit, else stream (auto)",
    ),
    "dataset.limit_mib": Field(
        1024,
        _WHOLE(least=0, most=2**24),
        "the limit of auto: MiB of decoded pixels of a split on each device",
    ),
    "dataset.num_threads": Field(
        0, _WHOLE(least=0, most=4096), "the threads that read for stream; 0: one per core"
    ),
    "model.name": Field("resnet18", Choice(_models), "the model"),
    "model.channels": Field(1, Choice((1, 3)), "the channels of the model's input"),
    "model.image_size": Field(48, _WHOLE(least=8, most=2048), "the side of the input in pixels"),
    "model.dtype": Field("bfloat16", Choice(("float32", "bfloat16")), "the type of computation"),
    "model.batch_stats": Field(
        "global",
        Choice(("global", "per_device")),
        "what batch norm normalises over: the whole batch, or the part of a device",
    ),
    "model.remat": Field(False, Flag(), "whether ResNets compute activations twice"),
    "preprocess.normalization": Field(
        "dataset",
        Choice(("dataset", "unit", "imagenet", "caffe")),
        "what the input is normalised by: the training images (dataset), 255 (unit), or what "
        "published weights expect",
    ),
    "loss.name": Field("softmax", Choice(("softmax", "center", "island")), "the loss"),
    "loss.weight": Field(0.5, _UP_TO_A_MILLION, "lambda, the weight of the center or island loss"),
    "loss.pairwise_weight": Field(
        0.5, _UP_TO_A_MILLION, "lambda_1, the weight of the pairwise term"
    ),
    "loss.center_reduction": Field(
        "mean",
        Choice(("mean", "sum", "element")),
        "what the sum of the center loss is divided by: examples, nothing, examples times features",
    ),
    "loss.center_distance": Field(
        "squared",
        Choice(("squared", "norm")),
        "the distance to the centre: squared, or as eq. 2 of sun2021 prints it (norm)",
    ),
    "loss.center_update": Field(
        "rule", Choice(("rule", "gradient")), "how the centres move: Wen's rule, or the gradient"
    ),
    "loss.pairwise_on": Field(
        "centers", Choice(("centers", "features")), "what the pairwise term moves"
    ),
    "loss.center_learning_rate": Field(
        0.5, _UP_TO_A_MILLION, "alpha, the learning rate of the centres"
    ),
    "loss.label_smoothing": Field(0.0, _BELOW_ONE, "the share of a target spread over all classes"),
    "loss.class_weights": Field(
        "none",
        NameOrNumbers(("none", "balanced"), _UP_TO_A_MILLION),
        "the weight of each class in the cross-entropy, such as 1+2.5+...; balanced: by frequency",
    ),
    "augment.shift": Field(
        4 / 48,
        _BELOW_ONE,
        "the largest shift as a share of the side (4 of 48 pixels are 0.0833), in whole pixels",
    ),
    "augment.subpixel": Field(False, Flag(), "whether shifts are by fractions of a pixel, too"),
    "augment.flip": Field(0.5, _SHARE, "the probability of the mirror image"),
    "augment.scale": Field(
        (1.0, 1.0),
        Items(Number(above=0, most=10), lengths=(2,), ascending=True),
        "the smallest and the largest magnification, drawn evenly: 1 keeps the size, 1.2 magnifies "
        "by a fifth, and (0.8, 1.2) is a random resized crop",
    ),
    "augment.rotation": Field(0.0, Number(least=0, most=180), "the largest angle in degrees"),
    "augment.rotation_probability": Field(1.0, _SHARE, "the probability of a rotation"),
    "augment.crop": Field(
        1.0,
        Number(above=0, most=1),
        "the side of a random crop as a share of the image's (44 of 48 pixels are 0.9167), in "
        "evaluation of the central one; 1: the whole image",
    ),
    "augment.desaturation": Field(0.0, _SHARE, "the probability that an image becomes grey"),
    "augment.brightness": Field(0.0, _SHARE, "the largest relative change of grey levels"),
    "augment.contrast": Field(0.0, _SHARE, "the largest relative change of contrast"),
    "augment.jitter_probability": Field(1.0, _SHARE, "the probability of brightness and contrast"),
    "augment.erasing": Field(0.0, _SHARE, "the probability that a rectangle is erased"),
    "augment.erasing_area": Field(
        (0.02, 0.25),
        Items(Number(above=0, below=1), lengths=(2,), ascending=True),
        "the smallest and the largest share of the image that is erased",
    ),
    "augment.erasing_aspect": Field(
        3.0, Number(least=1, most=100), "the largest ratio of the sides of what is erased"
    ),
    "augment.mixup": Field(
        0.0, Number(least=0, most=100), "alpha of Beta(alpha, alpha) of mixed pairs; 0: none"
    ),
    "optimizer.name": Field("sgd", Choice(("sgd", "adam", "radam")), "the optimizer"),
    "optimizer.learning_rate": Field(
        0.01, Number(least=0, most=100), "the learning rate after the warm-up"
    ),
    "optimizer.schedule": Field(
        "cosine", Choice(("constant", "cosine")), "the course of the learning rate"
    ),
    "optimizer.warmup_epochs": Field(
        0.0, Number(least=0, most=_EPOCHS), "the epochs in which the learning rate rises"
    ),
    "optimizer.momentum": Field(0.9, _BELOW_ONE, "the momentum of sgd"),
    "optimizer.nesterov": Field(False, Flag(), "whether the momentum is Nesterov's"),
    "optimizer.weight_decay": Field(
        5e-4, Number(least=0, most=10), "the factor of L2 in the gradient of kernels"
    ),
    "optimizer.clip_norm": Field(
        0.0, _UP_TO_A_MILLION, "the largest norm of the gradient; 0: no limit"
    ),
    "optimizer.epsilon": Field(
        1e-8, Number(above=0, most=1), "epsilon of adam and radam; Keras has 1e-7"
    ),
    "optimizer.accumulation_steps": Field(
        1, _WHOLE(least=1, most=2**16), "the number of parts that a batch is computed in"
    ),
    "optimizer.ema_decay": Field(
        0.0,
        _BELOW_ONE,
        "the largest decay of the average of the weights, which starts smaller; 0: no average",
    ),
    "optimizer.plateau.factor": Field(
        0.0, _BELOW_ONE, "what the learning rate is multiplied by on a plateau; 0: off"
    ),
    "optimizer.plateau.patience": Field(
        10, _WHOLE(least=0, most=_EPOCHS), "the epochs without improvement that are let pass"
    ),
    "optimizer.plateau.style": Field(
        "pytorch", Choice(("pytorch", "keras")), "the framework that says what patience means"
    ),
    "optimizer.plateau.metric": Field(
        "accuracy",
        Choice(("accuracy", "macro_f1", "loss")),
        "the metric of validation that should improve",
    ),
    "optimizer.plateau.threshold": Field(
        1e-4,
        _UP_TO_A_MILLION,
        "how much better an improvement is: relative to the best (pytorch) or absolute (keras)",
    ),
    "optimizer.plateau.cooldown": Field(
        0, _WHOLE(least=0, most=_EPOCHS), "the epochs after a reduction that count nothing"
    ),
    "optimizer.plateau.minimum": Field(0.0, _SHARE, "the lowest factor on the learning rate"),
    "train.batch_size": Field(128, _BATCH, "the examples of a batch, over all devices"),
    "train.num_epochs": Field(200, _WHOLE(least=1, most=_EPOCHS), "the number of epochs"),
    "train.sampling": Field(
        "uniform",
        Choice(("uniform", "balanced")),
        "how examples are drawn: each once in an epoch, or every class as often (balanced)",
    ),
    "train.early_stopping_patience": Field(
        0,
        _WHOLE(least=0, most=_EPOCHS),
        "the epochs without a better validation accuracy that end the run; 0: off",
    ),
    "train.checkpoint_every_steps": Field(
        0, _WHOLE(least=0, most=10**9), "the steps between checkpoints; 0: after every epoch only"
    ),
    "train.on_failed_save": Field(
        "stop",
        Choice(("stop", "continue")),
        "what is done when a checkpoint cannot be saved: stop, or go on without it",
    ),
    "train.watchdog_minutes": Field(
        60.0,
        _UP_TO_A_MILLION,
        "the minutes without a step after which the run ends itself; 0: off",
    ),
    "train.parameter_placement": Field(
        "replicated",
        Choice(("replicated", "sharded")),
        "whether every device holds all parameters, or a part of them",
    ),
    "evaluation.batch_size": Field(512, _BATCH, "the examples of a batch in evaluation"),
    "evaluation.selection_view": Field("single", _VIEW, "the test-time view that selects"),
    "evaluation.test_views": Field(
        ("single", "flip", "ten_crop"),
        Items(_VIEW, lengths=(1, 2, 3), distinct=True),
        "the test-time views that are reported, each as a number of its own",
    ),
}
# Groups whose fields are defined elsewhere: the config of each trunk of a fusion, by its name, and
# the options of the data set.
OPEN_GROUPS = ("stages", "dataset.options")
# The numbers among the options of models; their defaults are the models'.
MODEL_NUMBERS = {
    "model.width": Field(None, _WHOLE(least=1, most=4096), "the channels of the first stage"),
    "model.dropout": Field(None, _BELOW_ONE, "the share of features that dropout sets to 0"),
}


def defaults() -> ConfigDict:
    """A config without a paper and a model's options; every call makes a new one."""
    config = ConfigDict()
    for path, field in FIELDS.items():
        _set(config, path, field.default)
    for path in OPEN_GROUPS:
        _set(config, path, ConfigDict())
    return config


def completed(config: ConfigDict) -> ConfigDict:
    """A config of an older version, with the fields that it lacks set to their defaults.

    So the default of a new field must keep the old behaviour.
    """
    full = _filled(config.copy_and_resolve_references(), defaults())
    stages = full.stages.values() if isinstance(full.stages, ConfigDict) else ()
    for stage in filter(lambda one: isinstance(one, ConfigDict), stages):
        _filled(stage, defaults())
    return full


def _set(config: ConfigDict, path: str, value: object) -> None:
    *groups, name = path.split(".")
    for group in groups:
        if group not in config:
            config[group] = ConfigDict()
        config = config[group]
    config[name] = value


def _filled(config: ConfigDict, others: ConfigDict) -> ConfigDict:
    for name, value in others.items():
        if name not in config:
            config[name] = value
        elif isinstance(value, ConfigDict) and isinstance(config[name], ConfigDict):
            _filled(config[name], value)
    return config
