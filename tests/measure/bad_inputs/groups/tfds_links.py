"""A data directory of a stranger with links to elsewhere, given to `prepare`."""

import os

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage, unharmed

_MINE = "data/image_folder/mine"


def _prepare(stage: Stage):
    source = f"--source={stage.shared}/images"
    return "prepare", "--dataset=image_folder", "--name=mine", source, "--data_dir=data"


def _lock(stage: Stage):
    lock = stage.data() / "image_folder" / "mine" / ".preparing"
    lock.unlink()
    lock.symlink_to(stage.outside())
    return _prepare(stage)


def _folder(path):
    """A maker of a command on a data directory in which a path links to a folder with a file."""

    def command(stage: Stage):
        link = stage.here / path
        link.parent.mkdir(parents=True)
        link.symlink_to(made.folder(stage.here / "elsewhere"))
        made.text(stage.here / "elsewhere" / "kept")
        return _prepare(stage)

    return command


def _untouched(stage: Stage) -> None:
    found = os.listdir(stage.here / "elsewhere")
    assert found == ["kept"], f"outside there is now {found}"


def _others(stage: Stage):
    source = f"--source={stage.shared}/images"
    return "prepare", "--dataset=image_folder", "--name=other", source, "--data_dir=data"


CASES = [
    Case("tfds.prep", "good images", _others, code=0, says=["name=other"]),
    Case(
        "tfds.preplink",
        "the lock links to a file",
        _lock,
        says=[f"{_MINE}/.preparing is a link to", "outside", "Put a copy in its place"],
        check=unharmed,
    ),
    Case(
        "tfds.dirlink",
        "the data set links to a folder",
        _folder(_MINE),
        says=[f"{_MINE} is a link to", "elsewhere", "Put a copy in its place"],
        check=_untouched,
    ),
    Case(
        "tfds.inclink",
        "what a kill left links to a folder",
        _folder(f"{_MINE}/incomplete.x"),
        says=[f"{_MINE}/incomplete.x is a link to", "elsewhere", "Put a copy in its place"],
        check=_untouched,
    ),
]
