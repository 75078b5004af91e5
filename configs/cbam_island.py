r"""Sun 2021: ResNet-18 with SE or CBAM attention and softmax, center or island loss.

"Research on Expression Recognition Algorithm Based on Attention Mechanism", J. Phys. Conf. Ser.
1952 (2021) 042069. Rows of its tables, each one argument away:

    row                     argument                      tables
    Res18                   attention=none,loss=softmax   1
    Res18 + SE              attention=se,loss=softmax     1
    Res18 + CBAM            loss=softmax                  1, 5; confusion matrix in 3
    + CBAM, center loss     loss=center                   5
    + CBAM, island loss     (the default)                 5; confusion matrix in 4
    sweep of lambda         lambda=NUMBER                 2, on CK+: .1, .3 to .9; .5 is the default

FER2013 is the default, CK+ dataset=ck_plus (48x48 grey, ten folds; the paper does not say how it
splits CK+), RAF-DB dataset=raf_db (100x100 colour). ferjax/config/papers.toml has the paper's
numbers, and where they contradict each other; a table is printed by

    python -m ferjax.reproduce --table=sun2021/table5 --dry_run

The commands of rows:

    python -m ferjax.main --config=configs/cbam_island.py --workdir=DIR
    python -m ferjax.main --config=configs/cbam_island.py:loss=center,seed=1 --workdir=DIR
    python -m ferjax.main --config=configs/cbam_island.py:dataset=ck_plus,lambda=0.3 --workdir=DIR
    python -m ferjax.main --config=configs/cbam_island.py:dataset=synthetic --workdir=DIR

One more row, which the paper does not have, fine-tunes ImageNet weights at 224 px; the
attention and the classifier start afresh. It follows public code with the highest scores on FER2013
(RAdam 1e-4, batch 48, 50 epochs, reduced on a plateau to a tenth after two epochs):

    python -m ferjax.main --workdir=DIR \
        --config=configs/cbam_island.py:finetune,init_from=resnet18-f37072fd.pth

Measured, island row with budget=cpu, seed 0 (the README has the machine and the command): test
accuracy 66.54 % (single), 67.37 % (flip), 67.87 % (ten_crop); 65.06, 65.94 and 66.43 % on the clean
test split; 118 minutes on two CPU cores. With recipe=strong and 45 epochs: 67.04, 67.62 and
69.02 %; 65.48, 66.34 and 67.90 % on the clean split; 150 minutes. The paper's own schedule,
budget=paper, has not been run.

Readings of the island loss, measured on FER2013 (configs/studies/island.toml: 4 epochs, seed 0, or
seeds 0 to 2 where there is a standard deviation; ferjax/training/README.md has the whole table):

    row, with stem=imagenet,dtype=float32           validation, %   class means   acts
    loss=softmax                                    46.53 ± 0.10          82.9
    loss=center                                     45.48 ± 0.32          83.5
    preset=sun2021,center_reduction=element         46.31 ± 0.29          83.0   yes
      (the default)
    preset=sun2021,center_distance=norm             37.95                 84.0   no
    preset=cai2018                                  45.83 ± 0.54          83.5   no
    preset=cai2018,center_update=gradient           44.55                 82.6   no
    lambda=0.01,pairwise=10,pairwise_on=features    44.97                 81.8   yes

"Class means" is the sum of cos + 1 over pairs of them, 84 where all point the same way. The term
acts if centres stay at their classes and class means are further apart than with the center loss.

Arguments, joined by commas after the colon:

    dataset=NAME and what belongs to it: see ferjax/config/datasets.py
    attention=none|se|cbam        attention in every residual block
    loss=softmax|center|island
    preset=sun2021|cai2018|wen2016  published (lambda, lambda_1): (0.5, 0.5), (0.01, 10),
                                  (0.003, 0); without the next two it is sun2021 for loss=island
                                  and cai2018 for loss=center
    lambda=NUMBER                 alone: lambda and lambda_1 together, as in the paper's sweep
    pairwise=NUMBER               lambda_1; lambda= is then the outer weight alone (0.01)
    center_reduction=mean|sum|element  what the sum of the center loss is divided by: B, 1, B D;
                                  mean, but element for loss=island without preset= and pairwise=
    center_distance=squared|norm  norm: eq. 2 as the paper prints it, without the square
    center_update=rule|gradient   how the centres move
    pairwise_on=centers|features  what the pairwise term moves: the centres alone, as in the
                                  paper's equations, or the features (see
                                  ferjax/training/objective.py)
    recipe=paper|strong           see ferjax/config/recipes.py
    paper_literal                 weight decay 0.05 as the paper prints it, and nothing else
    budget=paper|cpu              paper: 200 epochs, stem small, bfloat16, for a GPU or a TPU;
                                  cpu: 36 epochs, stem half, width 36, float32, more augmentation,
                                  label smoothing and an average of the weights
    stem=small|half|imagenet      instead of the budget's
    dtype=float32|bfloat16        instead of the budget's
    image_size=NUMBER             side of the model's input in pixels, instead of the data set's
    channels=1|3                  of the model's input, instead of the data set's; with 3 asked for,
                                  or a file in init_from, normalised as ImageNet weights expect it
    init_from=PATH                a run directory or a file of weights to start from
    finetune                      of init_from: 224 px, 3 channels, stem=imagenet, RAdam, as above
    seed=NUMBER

Where the paper is silent the defaults are: learning rate 0.01 with cosine decay, weight decay 5e-4
(0.05 as L2 in the gradient forgets everything within an epoch), shift by 4 px and mirroring. The
paper's lambda is one symbol for both weights, best at 0.5. With a center loss averaged over the
batch (preset=sun2021) that does not train: the features lie at their centres long before they tell
the classes apart, and the run stays at the class frequencies. The default averages over the
features, too; of the readings whose term acts it has the best validation.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.config import datasets, recipes, starts
from ferjax.config.arguments import Argument, parse, refuse
from ferjax.config.fields import defaults

CENTERS = {"loss": ("center", "island")}
ISLAND = {"loss": ("island",)}
ARGUMENTS = {
    **datasets.ARGUMENTS,
    "attention": Argument("cbam", ("none", "se", "cbam")),
    "loss": Argument("island", ("softmax", "center", "island")),
    "preset": Argument(
        None,
        ("sun2021", "cai2018", "wen2016"),
        type=str,
        only={**CENTERS, "lambda": (None,), "pairwise": (None,)},
    ),
    "lambda": Argument(None, type=float, only=CENTERS),
    "pairwise": Argument(None, type=float, only=ISLAND),
    "center_reduction": Argument(None, ("mean", "sum", "element"), type=str, only=CENTERS),
    "center_distance": Argument("squared", ("squared", "norm"), only=CENTERS),
    "center_update": Argument("rule", ("rule", "gradient"), only=CENTERS),
    "pairwise_on": Argument("centers", ("centers", "features"), only=ISLAND),
    **recipes.ARGUMENTS,
    "paper_literal": Argument(False, only={"finetune": (False,)}),
    "budget": Argument("paper", ("paper", "cpu"), only={"dataset": datasets.REAL}),
    "stem": Argument(None, ("small", "half", "imagenet"), type=str),
    "dtype": Argument(None, ("float32", "bfloat16"), type=str),
    "image_size": Argument(None, type=int, least=16),
    "channels": Argument(None, (1, 3), type=int),
    "init_from": Argument(""),
    "finetune": Argument(False, only={"budget": ("paper",), "dataset": datasets.REAL}),
    "seed": Argument(0),
}

# lambda, lambda_1
PRESETS = {"sun2021": (0.5, 0.5), "cai2018": (0.01, 10.0), "wen2016": (0.003, 0.0)}


def get_config(arg: str | None = None) -> ConfigDict:
    """Builds the config of one row; `arg` is what follows the colon."""
    args = parse(arg, ARGUMENTS)
    config = defaults()
    config.paper = "sun2021"
    config.seed = args["seed"]
    config.init_from = args["init_from"]
    datasets.apply(config, args, papers=("fer2013", "ck_plus", "raf_db"))
    config.model.name = "resnet18"
    config.model.attention = args["attention"]
    config.model.stem = "small"
    config.model.width = 64
    if args["dataset"] == "raf_db":
        config.model.image_size, config.model.channels = 100, 3
    config.model.se_bias = True
    config.loss.name = args["loss"]
    _weigh(config, args)
    for field in ("center_distance", "center_update", "pairwise_on"):
        config.loss[field] = args[field]
    config.optimizer.weight_decay = 0.05 if args["paper_literal"] else 5e-4
    if args["budget"] == "cpu":
        config.departures += ("budget=cpu: a smaller network, trained for less time",)
        _shrink(config)
        if args["dataset"] == "ck_plus":  # a 37th of FER2013's images, in each fold
            config.train.batch_size = 64
    if args["dataset"] == "synthetic":
        # Minutes on two CPU cores: half the width, and a map of 12x12 after the stem.
        config.model.stem = "imagenet"
        config.model.width = 32
        config.model.dtype = "float32"
        config.optimizer.learning_rate = 0.05
        config.optimizer.nesterov = True
        config.optimizer.warmup_epochs = 2.0
        config.train.batch_size = 64
        config.train.num_epochs = 9
    if args["recipe"] == "strong":
        recipes.apply_strong(config)
        config.optimizer.learning_rate = 0.05
        config.optimizer.nesterov = True
    if args["finetune"]:
        _finetune(config, args["init_from"])
    for field in ("image_size", "channels"):
        config.model[field] = args[field] or config.model[field]
    takes_imagenet = args["channels"] == 3 or args["finetune"] or starts.is_file(args["init_from"])
    if takes_imagenet and config.model.channels == 3:
        config.preprocess.normalization = "imagenet"
    config.model.stem = args["stem"] or config.model.stem
    config.model.dtype = args["dtype"] or config.model.dtype
    return config


def _weigh(config: ConfigDict, args: Mapping[str, Any]) -> None:
    """Sets the weights of the loss and the divisor of its center part."""
    # One symbol for both weights, as the paper has it, trains only with this divisor.
    one_symbol = args["loss"] == "island" and args["preset"] is None and args["pairwise"] is None
    preset = "sun2021" if one_symbol else "cai2018"
    weight, pairwise_weight = PRESETS[args["preset"] or preset]
    if args["lambda"] is not None:
        weight = pairwise_weight = args["lambda"]
    if args["pairwise"] is not None:
        pairwise_weight = args["pairwise"]
    config.loss.weight = weight
    config.loss.pairwise_weight = pairwise_weight
    config.loss.center_reduction = args["center_reduction"] or ("element" if one_symbol else "mean")


def _shrink(config: ConfigDict) -> None:
    """3.6 million parameters and 36 epochs: about two hours of FER2013 on two CPU cores."""
    config.model.stem = "half"
    config.model.width = 36
    config.model.dtype = "float32"
    config.augment.subpixel = True
    config.augment.scale = (0.85, 1.15)
    config.augment.rotation = 10.0
    config.augment.rotation_probability = 0.5
    config.loss.label_smoothing = 0.1
    config.optimizer.learning_rate = 0.05
    config.optimizer.nesterov = True
    config.optimizer.warmup_epochs = 2.0
    config.optimizer.ema_decay = 0.998
    config.train.batch_size = 128
    config.train.num_epochs = 36


def _finetune(config: ConfigDict, init_from: str) -> None:
    """The schedule that fine-tunes ImageNet weights, which is tran2023's, too."""
    if not init_from:
        refuse("finetune", "there are no weights to fine-tune without init_from=PATH")
    config.departures += ("finetune: the paper does not say that it starts from other weights",)
    config.model.image_size, config.model.channels = 224, 3
    config.model.stem = "imagenet"
    config.optimizer.name = "radam"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 1e-4
    config.optimizer.plateau.factor = 0.1
    config.optimizer.plateau.patience = 2
    config.train.batch_size = 48
    config.train.num_epochs = 50
