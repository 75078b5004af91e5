"""Environment, devices and streams in which the commands run."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import TINY


def _predict(stage: Stage):
    made.image(stage.here / "x.png")
    return "predict", f"--workdir={stage.shared}/tiny", "x.png"


def _full_output(stage: Stage):
    made.device(stage.here / "full")
    return _predict(stage)


def _main(stage: Stage):
    return "main", *TINY, "--workdir=run"


def _audit(*arguments):
    """A maker of an audit, beside an image that is no folder of data."""

    def command(stage: Stage):
        made.image(stage.here / "x.png")
        return "audit", *arguments, "--output=out"

    return command


def _nothing_made(stage):
    made_here = sorted(path.name for path in stage.here.iterdir() if path.name != "x.png")
    assert not made_here, f"it makes {made_here}"


RENDERED = _audit("--dataset=synthetic", "--options=num_train=14,num_validation=7,num_test=7")
MINE = _audit("--dataset=image_folder", "--options=name=mine")
CACHE = {"FERJAX_DATA_DIR": "", "HOME": "/proc/x"}
PLACES = [
    (
        "1",
        "a cache folder that cannot be made",
        RENDERED,
        CACHE | {"XDG_CACHE_HOME": "/proc/x"},
        ["cannot write to /proc/x/ferjax/synthetic/"],
    ),
    (
        "2",
        "a home folder that cannot be made",
        RENDERED,
        CACHE | {"XDG_CACHE_HOME": ""},
        ["cannot write to /proc/x/.cache/ferjax/synthetic/"],
    ),
    (
        "3",
        "a cache folder that is relative",
        RENDERED,
        CACHE | {"XDG_CACHE_HOME": "cache"},
        ["XDG_CACHE_HOME is cache, expected an absolute path", "FERJAX_DATA_DIR"],
    ),
    (
        "3b",
        "the home folder of nobody",
        RENDERED,
        {"FERJAX_DATA_DIR": "~nobody_here/data"},
        ["~nobody_here/data", "there is no home folder ~nobody_here"],
    ),
    (
        "4",
        "a data directory that is a file, to write to",
        RENDERED,
        {"FERJAX_DATA_DIR": "x.png"},
        ["x.png cannot be looked at (it is a file, and a folder is expected)", "--data_dir"],
    ),
    (
        "5",
        "a data directory that is a file, to read from",
        MINE,
        {"FERJAX_DATA_DIR": "x.png"},
        ["x.png cannot be looked at (it is a file, and a folder is expected)", "--data_dir"],
    ),
    (
        "7",
        "a bucket, without a network",
        MINE,
        # Nothing listens there, as where there is no network.
        {"FERJAX_DATA_DIR": "gs://bucket/x", "STORAGE_EMULATOR_HOST": "http://127.0.0.1:9"},
        [
            "waiting for gs://bucket/x/image_folder",
            "2.0.0 cannot be brought to",
            "Check the network",
        ],
    ),
    (
        "8",
        "another object store",
        MINE,
        {"FERJAX_DATA_DIR": "s3://x"},
        ["s3://x is neither a local path nor one of Google Cloud Storage; expected a path, or"],
    ),
]
DEVICES = [
    ("9", "main on a TPU that is not there", _main, "tpu"),
    ("10", "predict on a GPU that is not there", _predict, "cuda"),
    ("11", "predict on a device of no kind", _predict, "nonsense"),
]
STREAMS = [
    (
        "16",
        "standard output is full",
        _full_output,
        '"$@" > full',
        2,
        ["Standard output cannot be written (No space left on device)"],
    ),
    ("17", "standard output is closed", _predict, '"$@" >&-', 2, ["Standard output is closed"]),
    ("17b", "standard error is closed", _predict, '"$@" 2>&-', 0, ["x.png"]),
    ("17c", "standard input is closed", _predict, '"$@" <&-', 0, ["x.png"]),
    (
        "18",
        "standard output is read for one byte",
        _predict,
        'set -o pipefail; "$@" | head -c 1',
        0,
        [],
    ),
    ("15", "standard output is ASCII", _predict, 'PYTHONIOENCODING=ascii "$@"', 0, ["x.png"]),
    ("14", "no UTF-8", _predict, 'LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$@"', 0, ["x.png"]),
]
CASES = [
    *(
        Case(f"env.{name}", what, make, says=says, env=env, check=_nothing_made)
        for name, what, make, env, says in PLACES
    ),
    *(
        Case(
            f"env.{name}",
            what,
            make,
            says=[f"JAX_PLATFORMS is {device}, and JAX finds no such device here", "Set JAX_PLATF"],
            env={"JAX_PLATFORMS": device},
            process=True,
        )
        for name, what, make, device in DEVICES
    ),
    *(
        Case(f"env.{name}", what, make, code=code, says=says, shell=shell)
        for name, what, make, shell, code, says in STREAMS
    ),
]
