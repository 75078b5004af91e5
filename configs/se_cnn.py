"""Luo 2023: a small CNN with and without squeeze-and-excitation.

"Convolutional neural network combined with the attention mechanism for facial emotion
recognition". Rows of its table for FER2013, each one argument away:

    row            argument
    CNN            attention=none
    CNN with SE    (the default)

ferjax/config/papers.toml has the paper's numbers, and where they contradict each other; they are
printed by

    python -m ferjax.reproduce --table=luo2023/table1 --dry_run

The commands of rows:

    python -m ferjax.main --config=configs/se_cnn.py --workdir=DIR
    python -m ferjax.main --config=configs/se_cnn.py:attention=none --workdir=DIR
    python -m ferjax.main --config=configs/se_cnn.py:dataset=synthetic --workdir=DIR

The model is ferjax/models/se_cnn.py, its gate `SqueezeExcitation` in
ferjax/models/layers/attention.py.
Training as the paper states it: images / 255, shifts by up to a tenth of the side, Adam with
learning rate 2e-3, halved on a plateau, at most 100 epochs, early stopping on validation accuracy
with patience 16. Adam's epsilon, the batch norm and the initial weights (Glorot uniform) are those
of the paper's framework, Keras.

Arguments, joined by commas after the colon:

    dataset=NAME and what belongs to it: see ferjax/config/datasets.py
    attention=none|se           (se)
    se_position=block|conv      a gate once per block (block), or after every convolution
    batch_norm=true|false       batch norm between convolution and ReLU (true)
    image_size=NUMBER           side of the model's input in pixels (48)
    dtype=float32|bfloat16      compute type; bfloat16, for a GPU or a TPU, unless synthetic
    protocol=honest|paper       (honest) paper selects and reports on PublicTest and PrivateTest
                                together, for FER2013; on test for others: optimistic
    init_from=PATH              a run directory or a file of weights to start from
    recipe=paper|strong         see ferjax/config/recipes.py
    seed=NUMBER
"""

from ml_collections import ConfigDict

from ferjax.config import datasets, recipes
from ferjax.config.arguments import Argument, parse
from ferjax.config.fields import defaults

ARGUMENTS = {
    **datasets.ARGUMENTS,
    **recipes.ARGUMENTS,
    "attention": Argument("se", ("none", "se")),
    "se_position": Argument("block", ("block", "conv"), only={"attention": ("se",)}),
    "batch_norm": Argument(True),
    "image_size": Argument(48, least=8),
    "dtype": Argument(None, ("float32", "bfloat16"), type=str),
    "init_from": Argument(""),
    "seed": Argument(0),
}


def get_config(arg: str | None = None) -> ConfigDict:
    """Builds the config of one row; `arg` is what follows the colon."""
    args = parse(arg, ARGUMENTS)
    config = defaults()
    config.paper = "luo2023"
    config.seed = args["seed"]
    config.init_from = args["init_from"]
    both = "validation+test" if args["dataset"] in ("fer2013", "synthetic") else "test"
    datasets.apply(config, args, selection=both, test=both)

    config.model.name = "se_cnn"
    config.model.attention = args["attention"]
    config.model.se_position = args["se_position"]
    config.model.se_bias = True
    config.model.batch_norm = args["batch_norm"]
    config.model.image_size = args["image_size"]
    if args["image_size"] != 48:
        config.departures += (f"image_size={args['image_size']}: the paper's is 48",)
    config.model.width = 64
    config.model.dtype = "bfloat16"

    config.preprocess.normalization = "unit"
    config.augment.shift = 0.1
    config.augment.subpixel = True
    config.augment.flip = 0.0

    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.epsilon = 1e-7  # Keras's
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 0.0
    config.optimizer.plateau.factor = 0.5
    config.optimizer.plateau.patience = 5
    config.optimizer.plateau.style = "keras"
    config.train.batch_size = 64
    config.train.num_epochs = 100
    config.train.early_stopping_patience = 16

    if args["recipe"] == "strong":
        recipes.apply_strong(config)
    if args["dataset"] == "synthetic":
        # Minutes on two CPU cores: half the width.
        config.model.width = 32
        config.model.dtype = "float32"
        config.train.num_epochs = 8
    config.model.dtype = args["dtype"] or config.model.dtype
    return config
