"""Flags given to `evaluate`."""

import stat

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage


def _evaluate(*more, make=None):
    """A maker of a command on the finished run; `make` makes the path `x`."""

    def command(stage: Stage):
        if make is not None:
            make(stage.here / "x")
        return "evaluate", f"--workdir={stage.shared}/tiny", *more

    return command


def _workdir(make):
    """A maker of a command with a workdir that `make` makes."""

    def command(stage: Stage):
        return "evaluate", f"--workdir={make(stage.here / 'x').name}"

    return command


def _text(content):
    return lambda path: made.text(path, content)


def _is_device(stage: Stage) -> None:
    assert stat.S_ISCHR((stage.here / "x").lstat().st_mode), "the device was replaced"


_INDEX, _AGAIN = "--clean_index=x", "run ferjax.data.audit again"
_OTHER = "--dataset=synthetic"
# id, what, the command, what is said
_CASES = [
    (1, "an unknown split", _evaluate("--split=evil"), ["expected one of train, validation, test"]),
    (
        2,
        "--split=train+test",
        _evaluate("--split=train+test"),
        ["--split is 'train+test'", "expected one of train, validation, test, validation+test"],
    ),
    (3, "an unknown view", _evaluate("--tta=evil"), ["expected one of single, flip, ten_crop"]),
    (
        4,
        "a view twice",
        _evaluate("--tta=flip,flip"),
        ["--tta is ('flip', 'flip')", "none of them twice"],
    ),
    (6, "a path as a checkpoint", _evaluate("--checkpoint=../x"), ["expected one of best, last"]),
    (
        8,
        "--batch_size=-1",
        _evaluate("--batch_size=-1"),
        ["--batch_size is -1", "expected a whole number of at least 1 and at most 1048576"],
    ),
    (
        9,
        "--batch_size=abc",
        _evaluate("--batch_size=abc"),
        ["--batch_size is 'abc'", "a whole number"],
    ),
    (
        10,
        "--batch_size=10^12",
        _evaluate("--batch_size=1000000000000"),
        ["--batch_size is 1000000000000", "at least 1 and at most 1048576"],
    ),
    (11, "an unknown data set", _evaluate("--dataset=evil"), ["there is no data set 'evil'"]),
    (
        13,
        "--label_map=nonsense",
        _evaluate(_OTHER, "--label_map=nonsense"),
        ["expected emotions or CLASS_OF_DATA=CLASS_OF_MODEL"],
    ),
    (18, "--label_map alone", _evaluate("--label_map=emotions"), ["name it with --dataset=NAME"]),
    (
        19,
        "an unknown option",
        _evaluate(_OTHER, "--options=evil=1", "--label_map=emotions"),
        ["has no option 'evil'. There are: image_size"],
    ),
    (23, "no clean index", _evaluate(_INDEX), ["cannot read x (No such file or directory)"]),
    (
        26,
        "a clean index of deep JSON",
        _evaluate(_INDEX, make=_text("[" * 100_000)),
        ["x is damaged (nested deeper than 64 levels)", _AGAIN],
    ),
    (
        29,
        "a clean index of bytes",
        _evaluate(_INDEX, make=lambda path: path.write_bytes(bytes(range(256)))),
        ["x is damaged", _AGAIN],
    ),
    (
        30,
        "a clean index that is a FIFO",
        _evaluate(_INDEX, make=made.fifo),
        ["x cannot be read (it is a FIFO, and a regular file is expected)", _AGAIN],
    ),
    (
        33,
        "--data_dir is a file",
        _evaluate("--data_dir=x", make=made.image),
        ["x cannot be looked at (it is a file, and a folder is expected)", "--data_dir"],
    ),
    (34, "--data_dir=s3://", _evaluate("--data_dir=s3://x/y"), ["or gs://BUCKET/PATH"]),
    (
        "nowork",
        "no such workdir",
        lambda stage: ("evaluate", "--workdir=x"),
        ["x is not a run directory"],
    ),
    (
        "workfile",
        "--workdir is a file",
        _workdir(made.image),
        ["x is not a run directory: it is a file", "Give the --workdir of a run of ferjax.main"],
    ),
    (
        "loop",
        "--workdir is a loop of links",
        _workdir(made.loop),
        ["x", "its links lead round in a circle", "Give the --workdir of a run of ferjax.main"],
    ),
    (
        "long",
        "a --workdir of 300 characters",
        _workdir(made.too_long),
        ["aaa", "the name is too long for a file", "Give the --workdir of a run of ferjax.main"],
    ),
    ("noflag", "no --workdir", lambda stage: ("evaluate",), ["--workdir is required"]),
]

CASES = [
    *(
        Case(f"eval.{number}", what, make, says=said, never=["int()", "Did you mean 'train'"])
        for number, what, make, said in _CASES
    ),
    Case(
        "eval.31",
        "--json is a device",
        _evaluate("--json=x", make=made.device),
        says=["--json is x, which cannot be written (it is a device", "name a file"],
        check=_is_device,
    ),
]
