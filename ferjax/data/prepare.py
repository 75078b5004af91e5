"""Reads a data set that you have obtained, checks that it is complete, and stores it for training.

    python -m ferjax.data.prepare --dataset=fer2013 --source=fer2013.zip

FER2013 may be a zip or folder of images, fer2013.csv or icml_face_data.csv; which one it is, is
found out. The result goes to DATA_DIR/fer2013, and the source is not needed any more.
"""

from absl import flags

from ferjax import command
from ferjax.errors import UserError

FLAGS = flags.FlagValues()
_DATASET = flags.DEFINE_string(
    "dataset", None, "Which data set: fer2013.", flag_values=FLAGS, required=True
)
_SOURCE = flags.DEFINE_string(
    "source", None, "The zip, folder or CSV file that you obtained.", flag_values=FLAGS
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Where prepared data sets go. By default FERJAX_DATA_DIR, else ferjax in your cache folder.",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace what is prepared there, if its content differs.", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    """Runs the command; `argv` holds the program name and what is not a flag."""
    # Here, not above, so that --help and a mistyped flag are answered at once.
    from rich.console import Console

    from ferjax.data import catalog, preparation, storage

    if argv[1:]:
        raise UserError(f"unexpected argument {argv[1]!r}: the source is given by --source=PATH.")
    spec = catalog.find(_DATASET.value)
    if spec.expected_counts is None:
        raise UserError(
            f"{spec.name} needs no preparation: ferjax makes it when it is first used. Try\n"
            f"  python -m ferjax.main --config=configs/cbam_island.py:dataset={spec.name} "
            f"--workdir=runs/{spec.name}"
        )
    if not _SOURCE.value:
        raise UserError(f"--source is required.\n{spec.how_to_obtain}")
    prepared = preparation.prepare(
        spec,
        _SOURCE.value,
        _DATA_DIR.value,
        overwrite=_OVERWRITE.value,
        console=Console(stderr=True),
    )
    print(preparation.summary(spec, prepared))
    default = prepared.directory == storage.version_dir(storage.default_data_dir(), spec.name)
    where = "" if default else f" --config.dataset.data_dir={prepared.directory.parent.parent}"
    print(
        f"\nNext, train on it:\n  python -m ferjax.main --config=configs/cbam_island.py"
        f":dataset={spec.name} --workdir=runs/{spec.name}{where}"
    )


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
