r"""Tran 2023: attention fusion of two trunks, and its early, late and joint baselines.

"Local and Global Attention Fusion Network for Facial Emotion Recognition". Every row of its tables
is a pair of arguments, `fusion` and `trunks`, on RAF-DB:

    fusion       trunks
    none         each alone: resnet18, resnet34, vgg11, vgg13
    late         resnet18+resnet34, vgg11+vgg13, vgg13+resnet34, vgg11+resnet34
    early        resnet18+resnet34, vgg13+resnet34, vgg11+resnet34
    joint        resnet18+resnet34, vgg13+resnet34, vgg11+resnet34
    attention    resnet18+resnet34, vgg13+resnet34
    attention, local_attention=false: the paper does not name the pair

ferjax/config/papers.toml has the paper's numbers; tables 1 and 2 are printed by

    python -m ferjax.reproduce --table=tran2023/table1 --dry_run

The commands of rows:

    python -m ferjax.main --workdir=DIR \
        --config=configs/attention_fusion.py:trunk_init=resnet18-f37072fd.pth+resnet34-b627a593.pth
    python -m ferjax.main --workdir=DIR \
        --config=configs/attention_fusion.py:fusion=none,trunks=resnet18,init_from=resnet18-f37072fd.pth
    python -m ferjax.main --workdir=DIR \
        --config=configs/attention_fusion.py:fusion=early,trunks=vgg13+resnet34,trunks_from=DIR+DIR
    python -m ferjax.main --workdir=DIR --config=configs/attention_fusion.py:from_scratch
    python -m ferjax.main --workdir=DIR --config=configs/attention_fusion.py:dataset=synthetic

One command trains a row: both trunks alone, in DIR/trunks/NAME, then the fusion. Trunks that are
already there are used as they are; `trunks_from=DIR1+DIR2` names finished runs, or files of
weights, elsewhere. Without weights for its trunks the command is refused. The equations are in
ferjax/models/attention_fusion.py, the baselines in ferjax/models/fusion.py.

Arguments, joined by commas after the colon:

    dataset=NAME and what belongs to it: see ferjax/config/datasets.py; (raf_db)
    fusion=attention|early|joint|late|none
    trunks=NAME+NAME                 of resnet18, resnet34, vgg11, vgg13, vgg16, vgg19; one for
                                     fusion=none; resnet18+resnet34
    trunks_from=PATH+PATH            finished runs or files of weights, instead of training trunks
    trunk_init=PATH+PATH             starting weights of the trunks' own runs; ImageNet weights in
                                     the paper
    from_scratch                     instead: the trunks start from fresh weights, and every stage
                                     has a learning rate of 1e-3 instead of 1e-4; this differs from
                                     the paper, and the result records it; with trunks_from it is
                                     that of trunks that were trained so; budget=cpu and synthetic
                                     start from fresh weights, too
    init_from=PATH                   a run of the same fusion, or a file, to start the whole from;
                                     for fusion=none, the starting weights of its trunk
    tokens=space|channel|batch       the tokens that attend to each other (space); with batch the
                                     scores of an image depend on its batch, in the last batch also
                                     on the padding, and the run can evaluate but not predict
    feature=map|pooled               tokens of `space`: positions (map), or their mean
    projections                      learned projections of queries and keys (false)
    local_attention=true|false       (true)
    local_gate=true|false            the paper's gate (true), or a sum
    frozen=true|false                trunks are kept (true), or trained with the fusion
    budget=paper|cpu                 paper: 224 pixels, 50 epochs, bfloat16, for a GPU or a TPU;
                                     cpu: half the width, 48 pixels, stem half, 3 epochs, float32
                                     and a learning rate of 1e-3 in every stage
    image_size=NUMBER                instead of the budget's
    stem=imagenet|small|half         of ResNet trunks, instead of the budget's
    dtype=float32|bfloat16           instead of the budget's
    epochs=NUMBER                    of every stage, instead of the budget's
    recipe=paper|strong              see ferjax/config/recipes.py
    seed=NUMBER
"""

from typing import Any

from ml_collections import ConfigDict

from ferjax.config import datasets, recipes, starts
from ferjax.config.arguments import Argument, check_count, parse, refuse
from ferjax.config.fields import defaults

TRUNKS = ("resnet18", "resnet34", "vgg11", "vgg13", "vgg16", "vgg19")
ATTENTION = {"fusion": ("attention",)}
TWO = {"fusion": ("attention", "early", "joint", "late")}
# Values of arguments that are not given, by budget.
BUDGETS = {
    "paper": {"image_size": 224, "stem": "imagenet", "dtype": "bfloat16", "epochs": 50},
    "cpu": {"image_size": 48, "stem": "half", "dtype": "float32", "epochs": 3},
    "synthetic": {"image_size": 48, "stem": "imagenet", "dtype": "float32", "epochs": 6},
}
WIDTHS = {"paper": 64, "cpu": 32, "synthetic": 16}
# The paper's, for ImageNet weights, and one for networks from scratch.
LEARNING_RATES = {"paper": 1e-4, "cpu": 1e-3, "synthetic": 1e-3}
FROM_SCRATCH = 1e-3
ARGUMENTS = {
    **datasets.ARGUMENTS,
    **recipes.ARGUMENTS,
    "dataset": Argument("raf_db", datasets.NAMES),
    "fusion": Argument("attention", ("attention", "early", "joint", "late", "none")),
    "trunks": Argument((), TRUNKS, type=str),  # resnet18+resnet34, or the first of them
    "trunks_from": Argument((), type=str, only=TWO),
    "trunk_init": Argument((), type=str, only={"trunks_from": ((),)}),
    "init_from": Argument("", only={"trunks_from": ((),), "trunk_init": ((),)}),
    "from_scratch": Argument(
        False,
        only={
            "trunk_init": ((),),
            "init_from": ("",),
            "dataset": datasets.REAL,
            "budget": ("paper",),
        },
    ),
    "tokens": Argument("space", ("space", "channel", "batch"), only=ATTENTION),
    "feature": Argument("map", ("map", "pooled"), only={**ATTENTION, "tokens": ("space",)}),
    "projections": Argument(False, only=ATTENTION),
    "local_attention": Argument(True, only=ATTENTION),
    "local_gate": Argument(True, only={**ATTENTION, "local_attention": (True,)}),
    "frozen": Argument(True, only=ATTENTION),
    "budget": Argument("paper", ("paper", "cpu"), only={"dataset": datasets.REAL}),
    "image_size": Argument(None, type=int, least=16),
    "stem": Argument(None, ("imagenet", "small", "half"), type=str),
    "dtype": Argument(None, ("float32", "bfloat16"), type=str),
    "epochs": Argument(None, type=int, least=1),
    "seed": Argument(0),
}


def get_config(arg: str | None = None) -> ConfigDict:
    """Builds the config of one row; `arg` is what follows the colon."""
    args = parse(arg, ARGUMENTS)
    alone = args["fusion"] == "none"
    trunks = args["trunks"] or (("resnet18",) if alone else ("resnet18", "resnet34"))
    check_count("trunks", trunks, 1 if alone else 2)
    for key in ("trunks_from", "trunk_init"):
        if args[key]:
            check_count(key, args[key], len(trunks))
    if args["stem"] and not any(name.startswith("resnet") for name in trunks):
        refuse("stem", "it is the first layers of a ResNet, and no trunk is one")
    trained = args["trunks_from"] or args["init_from"]
    if args["epochs"] and args["fusion"] == "late" and trained:
        refuse("epochs", "late fusion trains nothing, and the trunks are trained")
    args["budget"] = "synthetic" if args["dataset"] == "synthetic" else args["budget"]
    for key, value in BUDGETS[args["budget"]].items():
        args[key] = value if args[key] is None else args[key]
    if alone:
        return _trunk(args, trunks[0], args["init_from"] or _init(args, 0))
    config = _common(args)
    config.model.name = f"{args['fusion']}_fusion"
    config.model.trunks = trunks
    config.model.stem = args["stem"]
    config.model.batch_norm = False
    if args["fusion"] == "attention":
        for field in ("tokens", "feature", "projections", "local_attention", "local_gate"):
            config.model[field] = args[field]
        config.model.frozen = args["frozen"]
        if args["tokens"] == "batch":
            # As many tokens as in training.
            config.evaluation.batch_size = config.train.batch_size
    config.trunks_from = args["trunks_from"]
    config.init_from = args["init_from"]
    if args["from_scratch"]:
        config.departures += (starts.FROM_SCRATCH,)
        config.optimizer.learning_rate = FROM_SCRATCH
    if not config.trunks_from and not config.init_from:
        if args["budget"] != "paper" and not args["trunk_init"]:
            config.departures += (starts.FROM_SCRATCH,)
            config.optimizer.learning_rate = FROM_SCRATCH
        for index, name in enumerate(trunks):
            config.stages[name] = _trunk(args, name, _init(args, index))
            # References: a trunk follows the seed, data folder and split that a run may change.
            config.stages[name].seed = config.get_ref("seed")
            for field in ("data_dir", "placement", "limit_mib", "num_threads"):
                config.stages[name].dataset[field] = config.dataset.get_ref(field)
            for option in config.dataset.options:
                reference = config.dataset.options.get_ref(option)
                config.stages[name].dataset.options[option] = reference
    return config


def _may_be_fresh(args: dict[str, Any]) -> bool:
    """Whether trunks may start from fresh weights.

    The small networks are of half the width or less, which no published weights fit.
    """
    return args["from_scratch"] or args["budget"] != "paper"


def _init(args: dict[str, Any], index: int) -> str:
    return args["trunk_init"][index] if args["trunk_init"] else ""


def _trunk(args: dict[str, Any], name: str, init_from: str) -> ConfigDict:
    """The run of one trunk alone."""
    config = _common(args)
    starts.fine_tuned(config, init_from, from_scratch=_may_be_fresh(args))
    if not init_from:
        config.optimizer.learning_rate = FROM_SCRATCH
    config.model.name = name
    if name.startswith("resnet"):
        config.model.stem = args["stem"]
        config.model.attention = "none"
    else:
        config.model.batch_norm = False
    return config


def _common(args: dict[str, Any]) -> ConfigDict:
    config = defaults()
    config.paper = "tran2023"
    config.seed = args["seed"]
    datasets.apply(config, args, papers=("raf_db",))
    if args["budget"] == "cpu":
        config.departures += ("budget=cpu: a smaller network, trained for less time",)
    config.model.width = WIDTHS[args["budget"]]
    config.model.channels = 3
    config.model.image_size = args["image_size"]
    config.model.dtype = args["dtype"]

    config.preprocess.normalization = "imagenet"
    config.augment.shift = 0.0
    config.augment.flip = 0.5
    config.augment.rotation = 30.0
    config.augment.rotation_probability = 0.5
    config.augment.desaturation = 0.5

    config.optimizer.name = "radam"
    config.optimizer.learning_rate = LEARNING_RATES[args["budget"]]
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 1e-4
    config.optimizer.plateau.factor = 0.1
    config.optimizer.plateau.patience = 2
    config.train.batch_size = 48
    config.train.num_epochs = args["epochs"]
    config.evaluation.batch_size = 192
    if args["recipe"] == "strong":
        recipes.apply_strong(config)
    return config
