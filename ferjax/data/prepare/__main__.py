"""Reads a data set that you have obtained, checks that it is complete, and stores it for training.

    python -m ferjax.data.prepare --dataset=fer2013 --source=fer2013.zip
    python -m ferjax.data.prepare --dataset=image_folder --name=mine --source=my_images

Each data set comes in several forms, such as a zip, folders of images or a CSV file; the command
recognises them. --dataset=NAME without a source explains how to obtain NAME, and its forms. The
result goes to DATA_DIR/NAME, and the source is not needed any more.
"""

import shlex
from typing import Any

from absl import flags

from ferjax.cli import command, output
from ferjax.data import catalog
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Which data set: "
    + ", ".join(name for name, spec in catalog.DATASETS.items() if not spec.is_made)
    + ".",
    flag_values=FLAGS,
    required=True,
)
_SOURCE = flags.DEFINE_string(
    "source", None, "The zip, folder or CSV file that you obtained.", flag_values=FLAGS
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Where prepared data sets go, a folder or gs://BUCKET/PATH. By default FERJAX_DATA_DIR, else "
    "ferjax in your cache folder.",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace what is prepared there, if its content differs.", flag_values=FLAGS
)
_NAME = flags.DEFINE_string(
    "name", None, "Of image_folder: what to call your images.", flag_values=FLAGS
)
_IMAGE_SIZE = flags.DEFINE_integer(
    "image_size",
    None,
    "Of image_folder: side in pixels of the square that each image is resized to; without it, all "
    "images must have one size. Of ck_plus: side in pixels of the faces cropped from its frames; "
    "128 without it.",
    flag_values=FLAGS,
)
_LABELS = flags.DEFINE_string(
    "labels",
    None,
    "Of image_folder: the classes in the order of their numbers, as in angry,happy,sad. Without "
    "it, the sorted names of the class folders.",
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the command; `argv` holds the program name and what is not a flag."""
    # Here, not above, so that --help and a mistyped flag are answered at once.
    from rich.console import Console

    from ferjax.data.prepare import preparation
    from ferjax.data.storage import local

    if argv[1:]:
        raise UserError(f"unexpected argument {argv[1]!r}: the source is given by --source=PATH.")
    spec = catalog.find(_DATASET.value)
    if spec.is_made:
        raise UserError(
            f"{spec.name} needs no preparation: ferjax makes it when it is first used. Try\n"
            f"  {_training(spec.name)}"
        )
    if not _SOURCE.value:
        raise UserError(f"--source is required.\n{spec.how_to_obtain}")
    given: dict[str, Any] = {
        flag.name: flag.value for flag in (_NAME, _IMAGE_SIZE, _LABELS) if flag.value is not None
    }
    prepared = preparation.prepare(
        spec,
        _SOURCE.value,
        _DATA_DIR.value,
        overwrite=_OVERWRITE.value,
        console=Console(stderr=True),
        **given,
    )
    output.say(preparation.summary(spec, prepared))
    root = local.resolve(_DATA_DIR.value)
    where = "" if root == local.default_data_dir() else str(root)
    output.say(f"\nNext, train on it:\n  {_training(spec.name, _NAME.value or '', where)}")


def _training(dataset: str, own_name: str = "", data_dir: str = "") -> str:
    """The command that trains on a data set; `data_dir` is "" for the default one."""
    argument = f"dataset={dataset}" + (f",name={own_name}" if own_name else "")
    parts = [
        f"python -m ferjax.main --config=configs/cbam_island.py:{argument}",
        f"--workdir=runs/{own_name or dataset}",
    ]
    if data_dir:
        parts.append(f"--config.dataset.data_dir={shlex.quote(data_dir)}")
    return " ".join(parts)


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
