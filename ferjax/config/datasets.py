"""The data sets as arguments of a config: which one, how it is split, and under which protocol.

Arguments that every file in configs/ takes, joined by commas after the colon:

    dataset=fer2013|fer_plus|raf_db|ck_plus|image_folder|synthetic
                           (fer2013) synthetic needs no download; the others are prepared once by
                           python -m ferjax.data.prepare
    name=NAME              for image_folder: the name that it was prepared under
    target=majority|probability|cross_entropy
                           for fer_plus: the class of most votes, one drawn at each visit, or all
    fold=NUMBER            for ck_plus: one of its ten folds; without it one run for each
    protocol=honest|paper  honest selects on validation and tests once. paper selects on the test
                           split, trains on all of RAF-DB's training split and on nine folds of
                           CK+, and folds CK+ by images, so that persons are in training and test:
                           optimistic, and labelled so
    split_by=subject|image for ck_plus with protocol=paper: how it is folded (image)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from ferjax.config.arguments import Argument
from ferjax.data import catalog
from ferjax.data.splits import votes
from ferjax.errors import UserError

NAMES = tuple(catalog.DATASETS)
REAL = tuple(name for name, spec in catalog.DATASETS.items() if not spec.is_made)
ARGUMENTS = {
    "dataset": Argument("fer2013", NAMES),
    "name": Argument("", only={"dataset": ("image_folder",)}),
    "target": Argument("majority", votes.TARGETS, only={"dataset": ("fer_plus",)}),
    "fold": Argument(-1, only={"dataset": ("ck_plus",)}),
    "protocol": Argument("honest", ("honest", "paper")),
    "split_by": Argument(
        None,
        ("subject", "image"),
        type=str,
        only={"dataset": ("ck_plus",), "protocol": ("paper",)},
    ),
}


def apply(
    config: ConfigDict,
    args: Mapping[str, Any],
    *,
    papers: tuple[str, ...] = ("fer2013",),
    selection: str = "test",
    test: str = "test",
) -> None:
    """Sets data set, options and protocol of a config.

    Args:
      config: a config made by `fields.defaults`.
      args: the values that `arguments.parse` returned for `ARGUMENTS`.
      papers: the data sets that the paper reports on; a run on another differs from its paper.
      selection: the split that the paper selects on, for protocol=paper.
      test: the split that it reports.

    Raises:
      UserError: image_folder without the name it was prepared under.
    """
    name = config.dataset.name = args["dataset"]
    options = config.dataset.options
    if name not in papers:
        config.departures += (f"dataset={name}: the paper's is {' or '.join(papers)}",)
    optimistic = args["protocol"] == "paper"
    if optimistic:
        config.protocol.name = "paper"
        config.protocol.selection, config.protocol.test = selection, test
    if name == "synthetic":
        # The size of the papers' small images.
        options.image_size, options.channels, options.seed = 48, 1, 0
        options.num_train, options.num_validation, options.num_test = 6006, 1001, 2002
        options.jpeg_quality = 0
    elif name == "image_folder":
        if not args["name"]:
            raise UserError(
                "dataset=image_folder needs the name that the images were prepared under, as in "
                "dataset=image_folder,name=NAME."
            )
        options.name = args["name"]
        options.held_out, options.test_share, options.split_seed = 0.1, 0.1, 0
    elif name == "raf_db":
        options.held_out, options.split_seed = 0.0 if optimistic else 0.1, 0
    elif name == "ck_plus":
        options.fold = args["fold"]
        options.split_by = args["split_by"] or ("image" if optimistic else "subject")
        options.split_seed = 0
        # Where a paper selects on test, the validation fold is trained on, too.
        options.validation_fold = not optimistic
    elif name == "fer_plus":
        options.target = args["target"]
