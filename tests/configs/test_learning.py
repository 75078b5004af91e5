"""Every config learns: shrunk in width, pixels and epochs, it ends well above the largest class.

The recipe is the config's own, its augmentation and schedule included. Its learning rate is, too,
but for the flagship, which has too few steps here for its own.
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
# The flagship's test always runs; continuous integration has fifteen minutes for everything.
takes_minutes = pytest.mark.skipif(
    not os.environ.get("FERJAX_TEST_LEARNING"),
    reason="takes minutes: FERJAX_TEST_LEARNING=1 trains the other papers' configs, too",
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
def trained(run_python, repository, tmp_path):
    """`trained(name, argument, data_dir, **fields)` runs the command and returns its result.

    In optimised machine code unless told `optimize=False`, which pays where compiling takes longer
    than running. `fields` go to the config and to those of its trunks, as `group__field=value`.
    """

    def run(name, argument, data_dir, *, optimize=True, **fields):
        stages = tiny.module(name).get_config(argument).stages
        fields = {"model__dtype": "float32", "evaluation__test_views": ("single",), **fields}
        changes = [
            f"--config.{prefix}{path.replace('__', '.')}={value}"
            for prefix in ("", *(f"stages.{stage}." for stage in stages))
            for path, value in fields.items()
        ]
        config = repository / "configs" / f"{name}.py"
        workdir = tmp_path / argument
        command = ["-m", "ferjax.main", f"--config={config}:{argument}", f"--workdir={workdir}"]
        command.append("--report=no")
        run_python(
            [*command, f"--config.dataset.data_dir={data_dir}", *changes],
            optimize=optimize,
            work=7200,  # many times what it takes
        )
        return json.loads((workdir / "result.json").read_text())

    return run


def margin(result):
    """By how much the tested accuracy exceeds the share of the largest class."""
    scores = result["test"]["single"]["test"]
    largest = np.sum(scores["confusion"], axis=1).max() / scores["num_examples"]
    return scores["accuracy"] - largest


@needs_fer2013
def test_the_flagship_learns_and_its_literal_preset_collapses(trained, part_of_fer2013):
    """The same run but for the objective: so that this test can fail, one of them has to."""
    fields = {
        "model__name": "resnet10",
        "model__width": 16,
        "train__num_epochs": 4,
        "train__batch_size": 64,
        "optimizer__learning_rate": 0.02,
    }

    def result(argument):
        shrunk = f"{argument},stem=half,image_size=24"
        return trained("cbam_island", shrunk, part_of_fer2013, **fields)

    softmax, island, literal = map(result, ("loss=softmax", "loss=island", "preset=sun2021"))
    assert min(margin(softmax), margin(island)) > 0.05
    accuracy = [one["test"]["single"]["test"]["accuracy"] for one in (softmax, literal)]
    assert accuracy[1] < accuracy[0] - 0.05
    (warning,) = literal["warnings"]
    assert warning["epochs"][-1] == 4 and "loss.weight=0.5 (lambda)" in warning["message"]
    for learned in (softmax, island):
        assert all(4 not in one["epochs"] for one in learned["warnings"])


@needs_fer2013
@takes_minutes
def test_luo2023_learns(trained, part_of_fer2013):
    argument = "image_size=24"
    fields = {"model__width": 16, "train__num_epochs": 6}
    assert margin(trained("se_cnn", argument, part_of_fer2013, **fields)) > MARGIN


@needs_fer2013
@takes_minutes
def test_tam2021_learns_from_scratch(trained, part_of_fer2013):
    argument = "from_scratch,image_size=32"
    fields = {"model__width": 8, "train__num_epochs": 6, "train__batch_size": 32}
    assert margin(trained("vgg19_attention", argument, part_of_fer2013, **fields)) > MARGIN


@takes_minutes
def test_tran2023_learns_from_scratch(trained, coloured_raf_db):
    """Both trunks, then their fusion; the first layers are those for small images."""
    argument = "from_scratch,stem=half,image_size=24"
    fields = {"model__width": 8, "train__num_epochs": 6, "train__batch_size": 24}
    result = trained("attention_fusion", argument, coloured_raf_db, optimize=False, **fields)
    assert margin(result) > MARGIN
