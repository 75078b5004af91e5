"""Every config learns: shrunk in width, pixels and epochs, it ends well above the largest class.

The recipe is the config's own, its learning rates, augmentation and schedule included. Each run
takes a minute or two of two CPU cores. The island config has a test of its own objective elsewhere.
"""

import collections
import dataclasses
import itertools
import json
import os
import zipfile

import numpy as np
import pytest

from ferjax.data import catalog
from ferjax.data.labels import FER2013
from ferjax.data.prepare import preparation
from tests.helpers import fake_raf_db, tiny
from tests.helpers.fake_fer2013 import USAGES, write_folder

MARGIN = 0.10  # of the accuracy over the share of the largest class

needs_fer2013 = pytest.mark.skipif(
    not os.environ.get("FERJAX_TEST_FER2013"),
    reason="FERJAX_TEST_FER2013 does not name the zip of the real FER2013",
)


@pytest.fixture(scope="session")
def part_of_fer2013(tmp_path_factory):
    """Every fifth training image and every third other one of the real FER2013, prepared."""
    folder = tmp_path_factory.mktemp("part_of_fer2013")
    kept = collections.defaultdict(list)
    with zipfile.ZipFile(os.environ["FERJAX_TEST_FER2013"]) as whole:
        for name in sorted(whole.namelist()):
            if name.endswith(".jpg"):
                _, label, file = name.split("/")[-3:]
                kept[file.split("_")[0], label].append(name)
        counts = {}
        with zipfile.ZipFile(folder / "part.zip", "w") as part:
            for split, usage in USAGES.items():
                step = 5 if split == "train" else 3
                names = [kept[usage, label][::step] for label in FER2013.names]
                counts[split] = tuple(map(len, names))
                for name in itertools.chain(*names):
                    part.writestr(name, whole.read(name))
    spec = dataclasses.replace(catalog.FER2013, expected_counts=counts)
    preparation.prepare(spec, folder / "part.zip", folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def coloured_raf_db(tmp_path_factory):
    """Images in the layout of RAF-DB whose red tells their class, as desaturated ones still do."""
    folder = tmp_path_factory.mktemp("coloured_raf_db")
    counts = {"train": (60, 60, 60, 160, 60, 60, 100), "test": (20, 20, 20, 50, 20, 20, 30)}
    spec = dataclasses.replace(catalog.RAF_DB, expected_counts=counts)
    source = write_folder(folder / "raf", fake_raf_db.official(fake_raf_db.faces(counts)))
    preparation.prepare(spec, source, folder / "data")
    return folder / "data"


@pytest.fixture
def margin(run_python, repository, tmp_path):
    """`margin(name, argument, **fields)` runs the command, in optimised machine code.

    Returns by how much the tested accuracy exceeds the share of the largest class. `fields` go to
    the config and to those of its trunks, as `group__field=value`.
    """

    def run(name, argument, data_dir, **fields):
        stages = tiny.module(name).get_config(argument).stages
        fields = {"model__dtype": "float32", "evaluation__test_views": ("single",), **fields}
        changes = [
            f"--config.{prefix}{path.replace('__', '.')}={value}"
            for prefix in ("", *(f"stages.{stage}." for stage in stages))
            for path, value in fields.items()
        ]
        config = repository / "configs" / f"{name}.py"
        command = ["-m", "ferjax.main", f"--config={config}:{argument}", f"--workdir={tmp_path}"]
        run_python(
            [*command, f"--config.dataset.data_dir={data_dir}", *changes],
            optimize=True,
            timeout=1800,  # many times what it takes, where other processes share the cores
        )
        scores = json.loads((tmp_path / "result.json").read_text())["test"]["single"]["test"]
        largest = np.sum(scores["confusion"], axis=1).max() / scores["num_examples"]
        return scores["accuracy"] - largest

    return run


@needs_fer2013
def test_luo2023_learns(margin, part_of_fer2013):
    argument = "image_size=24"
    fields = {"model__width": 16, "train__num_epochs": 6}
    assert margin("se_cnn", argument, part_of_fer2013, **fields) > MARGIN


@needs_fer2013
def test_tam2021_learns_from_scratch(margin, part_of_fer2013):
    argument = "from_scratch,image_size=32"
    fields = {"model__width": 8, "train__num_epochs": 7, "train__batch_size": 32}
    assert margin("vgg19_attention", argument, part_of_fer2013, **fields) > MARGIN


def test_tran2023_learns_from_scratch(margin, coloured_raf_db):
    """Both trunks, then their fusion; the first layers are those for small images."""
    argument = "from_scratch,stem=half,image_size=24"
    fields = {"model__width": 8, "train__num_epochs": 6, "train__batch_size": 24}
    assert margin("attention_fusion", argument, coloured_raf_db, **fields) > MARGIN
