"""Permissions, and disks that are full."""

import shutil

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage
from tests.measure.bad_inputs.shared import TINY

# Root may read and write everything, but not without these capabilities.
_NONE = "-dac_override,-dac_read_search,-fowner"
PERMISSIONS = (
    f'if [ "$(id -u)" = 0 ]; then set -- setpriv --bounding-set={_NONE} --inh-caps={_NONE} "$@"; '
    'fi; exec "$@"'
)
# A disk of 64 kB at `small`, which goes with the process, as it is and filled up.
_DISK = (
    "exec unshare --map-root-user --mount bash -c "
    '\'mount -t tmpfs -o size=64k none small && %s exec "$@"\' bash "$@"'
)
SMALL_DISK = _DISK % ""
FULL_DISK = _DISK % "{ head -c 100000 /dev/zero > small/fill 2> /dev/null; true; } &&"


def _prepare(source, data_dir="data"):
    images = "--dataset=image_folder", "--name=mine"
    return "prepare", *images, f"--source={source}", f"--data_dir={data_dir}"


def _predict(stage, *arguments, workdir=""):
    return "predict", f"--workdir={workdir or stage.shared / 'tiny'}", *arguments


def _run(*denied, missing=""):
    """A maker of a classification by a copy of the run.

    Args:
      *denied: a pattern of paths below the run, and the permissions that are left of theirs.
      missing: a folder of the run that is removed.
    """

    def command(stage: Stage):
        run = stage.run()
        made.image(stage.here / "x.png")
        if missing:
            shutil.rmtree(run / missing)
        for pattern, left in denied:
            for path in sorted([run, *run.rglob(pattern)], reverse=True):
                if path != run or pattern == "*":
                    path.chmod(path.stat().st_mode & left)
        return _predict(stage, "x.png", workdir="run")

    return command


def _images(*files, denied, given):
    """A maker of a classification of files, one of which, or a folder of them, is denied."""

    def command(stage: Stage):
        for name in files:
            (stage.here / name).parent.mkdir(parents=True, exist_ok=True)
            made.image(stage.here / name)
        (stage.here / denied).chmod(0)
        return _predict(stage, given)

    return command


def _data(pattern):
    """A maker of an evaluation of a copy of the run, on data that cannot be read."""

    def command(stage: Stage):
        stage.run()
        for path in [*stage.data().glob(pattern)]:
            path.chmod(0)
        return "evaluate", "--workdir=run", "--data_dir=data"

    return command


def _source(denied):
    def command(stage: Stage):
        made.class_folders(stage.here / "x")
        (stage.here / "x" / denied).chmod(0)
        return _prepare("x")

    return command


def _below(command):
    """A maker of a command line whose workdir lies in a folder that cannot be entered."""

    def make(stage: Stage):
        made.image(stage.here / "x.png")
        made.folder(made.folder(stage.here / "np") / "x")
        (stage.here / "np").chmod(0)
        return command(stage)

    return make


def _small(*arguments):
    def command(stage: Stage):
        made.folder(stage.here / "small")
        made.image(stage.here / "x.png")
        return _predict(stage, "x.png", *arguments)

    return command


def _train_on_disk(stage: Stage):
    made.folder(stage.here / "small")
    return "main", *TINY, "--workdir=small/run"


def _large(stage: Stage):
    """A folder of images of 170 kB."""
    made.folder(stage.here / "small")
    for name in ("happy", "sad"):
        (stage.here / "x" / name).mkdir(parents=True)
        for number in range(6):
            made.image(stage.here / "x" / name / f"{number}.png", seed=number, size=(120, 120))
    return _prepare("x", "small")


def _nothing_is_left(stage):
    assert not list((stage.here / "small").iterdir())


DENIED = "cannot be read (Permission denied)"
NO_WRITING = ("*", 0o555)
CONFIG, CHECKPOINT = "config.json", "manifest.ocdbt"
TABLE = [
    ("19", "a run that cannot be written", _run(NO_WRITING), 0, ["x.png"]),
    (
        "20",
        "a run that cannot be written, without its last checkpoint",
        _run(NO_WRITING, missing="checkpoints/last"),
        0,
        ["x.png"],
    ),
    (
        "21",
        "a run that cannot be written, and its command",
        lambda stage: (_run(NO_WRITING)(stage), ("main", *TINY, "--workdir=run"))[1],
        2,
        ["The workdir run cannot be written (Permission denied); name a folder that can be"],
    ),
    (
        "23",
        "a run with a file that cannot be read",
        _run((CHECKPOINT, 0)),
        2,
        ["The best checkpoint of step", CHECKPOINT, "Permission denied", "who may read it"],
    ),
    (
        "24",
        "an image that cannot be read",
        _images("a.png", denied="a.png", given="a.png"),
        2,
        [f"a.png {DENIED}"],
    ),
    (
        "25",
        "a folder with a folder that cannot be read",
        _images("mix/a.png", "mix/sub/b.png", denied="mix/sub", given="mix"),
        0,
        ["mix/a.png", "Left out of mix: 1 that cannot be read: mix/sub (Permission denied)"],
    ),
    (
        "26",
        "a folder that cannot be read",
        _images("sub/a.png", denied="sub", given="sub"),
        2,
        ["sub", "has no image in it that can be read: sub (Permission denied)"],
    ),
    (
        "27",
        "an image of a source that cannot be read",
        _source("happy/0.png"),
        2,
        [f"x/happy/0.png {DENIED}"],
    ),
    (
        "28",
        "a class that cannot be read",
        _source("happy"),
        2,
        ["cannot read x/happy: Permission denied"],
    ),
    (
        "30",
        "prepared data whose records cannot be read",
        _data("image_folder/mine/*/*record*"),
        2,
        ["data/image_folder/mine/2.0.0", "Permission denied", "who may read it"],
    ),
    (
        "31",
        "prepared data whose folder cannot be read",
        _data("image_folder"),
        2,
        ["data/image_folder/mine cannot be looked at (Permission denied)", "who may read"],
    ),
    (
        "32",
        "a workdir in a folder that cannot be entered",
        _below(lambda stage: ("main", *TINY, "--workdir=np/x")),
        2,
        ["The workdir np/x cannot be made (Permission denied); name a folder that can be written"],
    ),
    (
        "33",
        "a run in a folder that cannot be entered",
        _below(lambda stage: _predict(stage, "x.png", workdir="np/x")),
        2,
        ["np/x", "Permission denied", "who may read it"],
    ),
    (
        "34",
        "an image in a folder that cannot be entered",
        _below(lambda stage: _predict(stage, "np/x.png")),
        2,
        ["np/x.png cannot be looked at (Permission denied)"],
    ),
]
DISKS = [
    (
        "41",
        "a full disk: predict --json",
        _small("--json=small/x.json"),
        FULL_DISK,
        ["small/x.json cannot be written (No space left on device)", "make room there"],
    ),
    (
        "43",
        "a full disk: main",
        _train_on_disk,
        FULL_DISK,
        ["small/run/config.json cannot be written (No space left on device): make room there"],
    ),
    (
        "43b",
        "a disk that is full when a checkpoint is saved",
        _train_on_disk,
        SMALL_DISK,
        ["The best checkpoint of step", "(No space left on device)", "Make room there"],
    ),
    (
        "44",
        "a disk that is full when prepared data are written",
        _large,
        SMALL_DISK,
        ["cannot write to small/image_folder/mine/2.0.0: No space left on device; make room there"],
    ),
]
CASES = [
    *(
        Case(
            f"env.{name}",
            what,
            make,
            code=code,
            says=says,
            never=["delete that folder", "not prepared", "cannot be saved", "damaged image"],
            shell=PERMISSIONS,
        )
        for name, what, make, code, says in TABLE
    ),
    *(
        Case(
            f"env.{name}",
            what,
            make,
            says=says,
            shell=shell,
            # The disk goes with the process; what is left was written beside it.
            check=_nothing_is_left,
        )
        for name, what, make, shell, says in DISKS
    ),
]
