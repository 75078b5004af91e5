"""Places, starting weights and other flags given to `main`."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import TINY, training


def _with(make, *more):
    """A maker of a command with something at the path `x`, which `make` makes."""

    def command(stage: Stage):
        make(stage.here / "x")
        return training(*more)(stage)

    return command


def _workdir(value, make=None):
    """A maker of a command with this workdir; `make` makes the path `x`."""

    def command(stage: Stage):
        if make is not None:
            make(stage.here / "x")
        return "main", *TINY, f"--workdir={value}"

    return command


# id, what, the command, what is said
_CASES = [
    (
        83,
        "dataset.data_dir is a file",
        _with(made.image, "--config.dataset.data_dir=x"),
        ["x cannot be looked at (it is a file, and a folder is expected)", "dataset.data_dir"],
    ),
    (
        116,
        "--workdir is a loop of links",
        _workdir("x", made.loop),
        ["The workdir x cannot be made (its links lead round in a circle)", "name a folder"],
    ),
    (
        117,
        "--workdir is a link to nothing",
        _workdir("x", made.dangling),
        ["The workdir x cannot be made (it is a link to ", "gone, which is not there)"],
    ),
    (
        119,
        "compilation_cache is a file",
        _with(made.text, "--config.compilation_cache=x"),
        ["compilation_cache is x", "it is a file", "name a folder"],
    ),
    (
        120,
        "init_from is an empty folder",
        _with(made.folder, "--config.init_from=x"),
        ["x is not a run directory: it has no config.json"],
    ),
    (
        122,
        "trunks_from for a model without trunks",
        training("--config.trunks_from=('a','b')"),
        ["trunks_from has a, b, and resnet18 has no trunks", "leave trunks_from empty"],
    ),
    (
        103,
        "--profile_steps of 26 digits",
        training("--profile_steps=1:99999999999999999999999999"),
        ["--profile_steps is '1:99999999999999999999999999'", "the run has 16 steps"],
    ),
    (
        123,
        "--profile_steps beyond the run",
        training("--profile_steps=1000:1001"),
        ["--profile_steps is '1000:1001'", "the run has 16 steps"],
    ),
    ("empty", "--workdir=", _workdir(""), ["--workdir is empty", "give it a value"]),
    (101, "--seeds=abc", training("--seeds=abc"), ["--seeds is 'abc'", "expected a whole number"]),
    (1, "an unknown flag", training("--nonsense=1"), ["unknown flag --nonsense", "--workdir"]),
    (
        2,
        "an unknown field",
        training("--config.train.epochs=3"),
        ["no field 'train.epochs'. Did you mean 'train.num_epochs'?"],
    ),
    (100, "--seeds=0", training("--seeds=0"), ["--seeds is '0'", "of at least 1"]),
    (102, "--profile_steps=5:1", training("--profile_steps=5:1"), ["expected FIRST:LAST"]),
    (104, "--distributed=evil", training("--distributed=evil"), ["expected one of off, auto"]),
    (
        105,
        "--distributed=flags without them",
        training("--distributed=flags", "--num_processes=2"),
        ["needs --coordinator, --process_id"],
    ),
    (108, "an argument", training("stray"), ["unexpected argument 'stray'"]),
    (
        110,
        "--workdir is a file",
        _workdir("x", made.text),
        ["The workdir x cannot be made (it is a file", "name a folder that can be written"],
    ),
    (112, "--workdir=s3://", _workdir("s3://x/y"), ["expected a path, or gs://BUCKET/PATH"]),
    (
        118,
        "--workdir is a device",
        _workdir("x", made.device),
        ["The workdir x cannot be made (it is a device"],
    ),
    (121, "init_from is not there", training("--config.init_from=x.pth"), ["no weights at x.pth"]),
]

CASES = [
    Case(f"cli.{number}", what, make, says=said, never=["int()"])
    for number, what, make, said in _CASES
]
