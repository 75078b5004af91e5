"""Command lines on a damaged copy of the finished run, which is the folder `run` of a case."""

import json
import shutil

from tests.helpers.edited import edit
from tests.measure.bad_inputs import shared


def predict(damage, *more):
    """A maker of a command line that predicts an image by a run that `damage` has altered."""

    def command(stage):
        damage(stage.run())
        return "predict", "--workdir=run", stage.shared / "images" / "happy" / "0.png", *more

    return command


def evaluate(damage, *more):
    """A maker of a command line that evaluates a run that `damage` has altered."""

    def command(stage):
        damage(stage.run())
        return "evaluate", "--workdir=run", *more

    return command


def train(damage, *more, finished=True):
    """A maker of the command line of the run itself, on a copy that `damage` has altered.

    With `finished=False` the copy has no result.json, so that the run is resumed and tested.
    """

    def command(stage):
        run = stage.run()
        if not finished:
            (run / "result.json").unlink()
        damage(run)
        return "main", *shared.TINY, "--workdir=run", *more

    return command


def nothing(run):
    """Leaves a run as it is."""


def file(name, content):
    """Puts a content, text or bytes, in the place of a file of a run."""

    def damage(run):
        (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


def fields(name, *changes):
    """Changes a JSON file of a run by (path, value) pairs."""
    return lambda run: edit(run / name, *changes)


def removed(pattern):
    """Removes the files and folders of a run that fit a pattern; there has to be one."""

    def damage(run):
        found = list(run.glob(pattern))
        assert found, f"nothing is at {pattern}"
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def replaced(name, make):
    """Removes a file of a run and lets a builder of `tests.helpers.strangers` make another."""

    def damage(run):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path)

    return damage


def every(*damages):
    """Does one damage after the other."""

    def damage(run):
        for one in damages:
            one(run)

    return damage


DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
DEEP_LIST = "[" * 100_000 + "]" * 100_000


def line(**row):
    """A line of metrics.jsonl."""
    return json.dumps(row) + "\n"
