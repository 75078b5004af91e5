r"""Tam and Tinh 2021: VGG-19 with spatial attention.

"A visual attention based VGG19 network for facial expression recognition". Its row for FER2013:

    row                  argument
    VGG19 + attention    (the default)

ferjax/config/papers.toml has the paper's number, and those that it compares with; they are printed
by

    python -m ferjax.reproduce --table=tam2021/table3 --dry_run

The commands of the row:

    python -m ferjax.main --workdir=DIR \
        --config=configs/vgg19_attention.py:init_from=vgg19-dcbb9e9d.pth
    python -m ferjax.main --config=configs/vgg19_attention.py:from_scratch --workdir=DIR
    python -m ferjax.main --config=configs/vgg19_attention.py:dataset=synthetic --workdir=DIR

The model, with the equation of its attention map, is ferjax/models/vgg_attention.py. The paper
fine-tunes ImageNet weights (third_party/ says where they come from) at 224x224x3; it leaves open
whether A has a bias and where dropout sits. Training: SGD with Nesterov momentum 0.9, learning rate
1e-3, reduced on a plateau to 0.75 of it. Without weights to start from the command is refused.

Arguments, joined by commas after the colon:

    dataset=NAME and what belongs to it: see ferjax/config/datasets.py
    attention=concat|multiply|none       the paper appends the map A as one more channel (concat)
    batch_norm=true|false                VGG-19 with batch norm; false unless it starts from scratch
    image_size=NUMBER                    a multiple of 32; 224 unless synthetic
    dtype=float32|bfloat16               bfloat16 unless synthetic
    init_from=PATH                       a run directory or a file of weights to start from
    from_scratch                         instead: fresh weights, learning rate 1e-2, batch norm, no
                                         dropout; this differs from the paper, and the result
                                         records it; synthetic starts from fresh weights, too
    recipe=paper|strong                  see ferjax/config/recipes.py
    seed=NUMBER
"""

from ml_collections import ConfigDict

from ferjax.config import datasets, recipes, starts
from ferjax.config.arguments import Argument, parse
from ferjax.config.fields import defaults

ARGUMENTS = {
    **datasets.ARGUMENTS,
    **recipes.ARGUMENTS,
    "attention": Argument("concat", ("concat", "multiply", "none")),
    "batch_norm": Argument(None, type=bool),
    "image_size": Argument(None, type=int, least=32),
    "dtype": Argument(None, ("float32", "bfloat16"), type=str),
    "init_from": Argument(""),
    "from_scratch": Argument(False, only={"init_from": ("",), "dataset": datasets.REAL}),
    "seed": Argument(0),
}
# The values of the paper's row.
PAPERS = {"attention": "concat", "batch_norm": False, "image_size": 224}


def get_config(arg: str | None = None) -> ConfigDict:
    """Builds the config of one row; `arg` is what follows the colon."""
    args = parse(arg, ARGUMENTS)
    config = defaults()
    config.paper = "tam2021"
    config.seed = args["seed"]
    datasets.apply(config, args)
    scratch = args["from_scratch"] or args["dataset"] == "synthetic"
    starts.fine_tuned(config, args["init_from"], from_scratch=scratch)

    config.model.name = "vgg19_attention"
    config.model.attention = args["attention"]
    config.model.attention_bias = False
    # From scratch, sixteen convolutions without batch norm, or with dropout behind them, stay at
    # the share of the largest class. Measured on a fifth of FER2013, where that is 24.9 %, at
    # learning rate 1e-2 and 32 pixels: without batch norm, a quarter of the width, 24.9 % after 356
    # steps; with both, an eighth of the width, 24.9 % after 1,432; with batch norm alone 38.6 %.
    config.model.batch_norm = scratch
    config.model.dropout = 0.0 if scratch else 0.5
    config.model.width = 64
    config.model.channels = 3
    config.model.image_size = 224
    config.model.dtype = "bfloat16"

    config.preprocess.normalization = "imagenet"
    config.optimizer.learning_rate = 1e-3 if args["init_from"] else 1e-2
    config.optimizer.schedule = "constant"
    config.optimizer.nesterov = True
    config.optimizer.weight_decay = 1e-4
    config.optimizer.plateau.factor = 0.75
    config.optimizer.plateau.patience = 5
    config.train.batch_size = 64
    config.train.num_epochs = 300
    config.evaluation.batch_size = 256

    if args["recipe"] == "strong":
        recipes.apply_strong(config)
    if args["dataset"] == "synthetic":
        # Minutes on two CPU cores: a quarter of the width, small images.
        config.model.width = 16
        config.model.image_size = 64
        config.model.dtype = "float32"
        config.train.num_epochs = 8
    for field in ("batch_norm", "image_size", "dtype"):
        if args[field] is not None:
            config.model[field] = args[field]
    config.departures += tuple(
        f"{field}={config.model[field]}: the paper's is {value}"
        for field, value in PAPERS.items()
        if config.model[field] != value
    )
    return config
