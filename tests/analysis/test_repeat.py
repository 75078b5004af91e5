"""The command on a page makes the config of the run again."""

import ast
import contextlib
import shlex

import pytest

from ferjax import filesystem
from ferjax.analysis.report import repeat
from tests.helpers import configs

REPEATED = [
    ("cbam_island", "dataset=synthetic", {"model.width": 8, "evaluation.test_views": ("flip",)}),
    ("cbam_island", "dataset=fer2013,loss=softmax,recipe=strong", {}),
    ("cbam_island", "dataset=image_folder,name=mine", {"train.num_epochs": 2}),
    ("attention_fusion", "dataset=raf_db", {}),
    ("attention_fusion", "dataset=fer2013,fusion=late,trunks=vgg13+resnet34", {}),
]


@pytest.mark.parametrize(("name", "argument", "changes"), REPEATED)
def test_the_command_repeats_the_config(name, argument, changes, repository, monkeypatch):
    monkeypatch.chdir(repository)
    config = configs.made(name, argument)
    for path, value in changes.items():
        configs.put(config, path, value)
    text = repeat.command(config, filesystem.of("here"))
    start, *flags = shlex.split(text.replace("\\\n", " "))[3:]
    assert start.startswith(f"--config=configs/{name}.py:") and flags.pop(0).startswith("--workdir")
    made = configs.made(name, start.split(":", 1)[1])
    for flag in flags:
        path, value = flag.removeprefix("--config.").split("=", 1)
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
        configs.put(made, path, value)
    kept = {**config.to_dict(), "departures": ()}
    assert {**made.to_dict(), "departures": ()} == kept


def test_a_config_of_no_paper_is_told_where_it_is(repository, monkeypatch):
    monkeypatch.chdir(repository)
    config = configs.made("cbam_island", "dataset=synthetic")
    config.paper = "mine"
    text = repeat.command(config, filesystem.of("here"))
    assert text == "# here/config.json has every field of the run."
