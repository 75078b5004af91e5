"""Every config goes the whole way on made-up copies in the layouts of the real data sets.

As a user goes: prepare, train, evaluate, predict, each by its command. The copies have a few images
of each class, and the networks a few narrow layers of each kind. The rest is as with a real copy.
"""

import csv
import dataclasses
import io
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from ferjax import evaluate, main, models, predict
from ferjax.analysis.report import __main__ as report
from ferjax.analysis.saliency import Saliency
from ferjax.data import catalog, dataset
from ferjax.data.prepare import __main__ as prepare
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import resnet, vgg, weights
from ferjax.training import sweep
from tests.helpers import fake_ck_plus, fake_fer2013, fake_fer_plus, fake_raf_db, tiny
from tests.helpers.fake_fer2013 import write_folder, write_zip

FER_PLUS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
RAF_DB = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
CK_PLUS = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
OWN = ("awake", "bored")

# A tenth of each class of RAF-DB selects.
NINE, ONE, TEST = (9, 9, 9, 27, 18, 9, 18), (1, 1, 1, 3, 2, 1, 2), (2, 1, 2, 4, 3, 1, 2)
RAF_COUNTS = {"train": tuple(np.add(NINE, ONE).tolist()), "test": TEST}
FACES = fake_raf_db.faces(RAF_COUNTS)
SEQUENCES = fake_ck_plus.some()
LABELLED = [one for one in SEQUENCES if one.label is not None]
PERSONS = sorted({one.subject for one in LABELLED})
# Neutral, happiness, and no majority.
BALLOTS = ((9, 0, 0, 0, 0, 0, 1, 0, 0, 0), (2, 8, *[0] * 8), (5, 0, 0, 5, *[0] * 6))

OF_VOTES = {row[1]: FER_PLUS[np.argmax(row[2:10])] for row in fake_fer_plus.table(BALLOTS)}
OF_FACE = {face.stem: RAF_DB[face.label] for face in FACES}
OF_SEQUENCE = {f"{one.subject}_{one.number}": CK_PLUS[one.label] for one in LABELLED}


def own_images():
    """Name -> bytes of images of two classes that nobody has split."""
    return {
        f"{name}/{number}.png": fake_ck_plus.png(np.full((24, 24), level + number, np.uint8))
        for name, level in zip(OWN, (50, 150), strict=True)
        for number in range(20)
    }


def unlike(content):
    """The content with noise in its images: no two photographs are alike."""
    rng = np.random.default_rng(0)
    made = dict(content)
    for name in content:
        if name.endswith(".png"):
            pixels = np.asarray(Image.open(io.BytesIO(content[name])))
            noise = rng.integers(0, 20, pixels.shape, dtype=np.uint8)
            made[name] = fake_ck_plus.png(pixels + noise)
    return made


def folder(path):
    return path.split("/")[-2]


def file(path):
    return path.split("/")[-1]


class Copy(NamedTuple):
    """A copy of a data set as somebody has it.

    Attributes:
      spec: its facts, with the counts of this copy in place of those of a whole one.
      content: makes name -> bytes of its files.
      write: writes them, as a folder or a zip.
      names: its classes, as its labels number them.
      class_of: the class of an image by its path, as the copy tells it.
      counts: the images of each class in training, validation and test; None for folds.
      flags: of the preparation, beside those that all have.
    """

    spec: catalog.DatasetSpec
    content: Callable
    write: Callable
    names: tuple[str, ...]
    class_of: Callable[[str], str]
    counts: Mapping[str, tuple[int, ...]] | None = None
    flags: tuple[str, ...] = ()


RAF_SPEC = dataclasses.replace(catalog.RAF_DB, expected_counts=RAF_COUNTS)
RAF_SPLITS = {"train": NINE, "validation": ONE, "test": TEST}
CK_SPEC = fake_ck_plus.spec(SEQUENCES)
COPIES = {
    "FER2013": Copy(
        fake_fer2013.SPEC,
        fake_fer2013.files,
        write_zip,
        fake_fer2013.NAMES,
        folder,
        fake_fer2013.COUNTS,
    ),
    "FER+": Copy(
        fake_fer_plus.SPEC,
        lambda: fake_fer_plus.folder_files(ballots=BALLOTS),
        write_folder,
        FER_PLUS,
        lambda path: OF_VOTES[file(path)],
        {"train": (3, 4, *[0] * 6), "validation": (3, 2, *[0] * 6), "test": (2, 3, *[0] * 6)},
    ),
    "RAF-DB": Copy(
        RAF_SPEC,
        lambda: fake_raf_db.official(FACES),
        write_folder,
        RAF_DB,
        lambda path: OF_FACE[file(path).removesuffix("_aligned.jpg")],
        RAF_SPLITS,
    ),
    "RAF-DB of Kaggle": Copy(
        RAF_SPEC,
        lambda: fake_raf_db.kaggle(FACES),
        write_zip,
        RAF_DB,
        lambda path: RAF_DB[int(folder(path)) - 1],
        RAF_SPLITS,
    ),
    "CK+": Copy(
        CK_SPEC,
        lambda: unlike(fake_ck_plus.official(SEQUENCES)),
        write_folder,
        CK_PLUS,
        lambda path: OF_SEQUENCE[file(path)[: len("S005_001")]],
        flags=("--image_size=64",),
    ),
    "CK+48": Copy(
        CK_SPEC, lambda: unlike(fake_ck_plus.ck_48(SEQUENCES)), write_zip, CK_PLUS, folder
    ),
    "own": Copy(
        catalog.IMAGE_FOLDER,
        own_images,
        write_folder,
        OWN,
        folder,
        {"train": (16, 16), "validation": (2, 2), "test": (2, 2)},
        ("--name=own",),
    ),
}


@pytest.fixture(scope="module", autouse=True)
def small():
    """A block, or a convolution, for each of a few stages; the counts are those of the copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vgg.LAYOUTS, "vgg19", tuple(stage[:1] for stage in vgg.LAYOUTS["vgg19"]))
        for name in ("resnet18", "resnet34"):
            patch.setitem(resnet.STAGE_SIZES, name, (0, 0, 0, 1))
        for copy in COPIES.values():
            patch.setitem(catalog.DATASETS, copy.spec.name, copy.spec)
        yield


class User:
    """Has copies of data sets and files of weights in a folder, and runs commands."""

    def __init__(self, folder, run_main):
        self.folder, self._run_main = folder, run_main

    def run(self, module, *arguments):
        """What a command printed, which has to succeed."""
        arguments = [*map(str, arguments), *(["--report=no"] if module is main else [])]
        with pytest.MonkeyPatch.context() as patch:  # where config flags find what overrides them
            patch.setattr(sys, "argv", [module.__name__, *arguments])
            code, out, err = self._run_main(module, *arguments)
        for flag in [flag for flag in module.FLAGS if "." in flag]:
            delattr(module.FLAGS, flag)  # an override is a flag, which a process defines once
        assert code == 0, err
        return out

    def files(self, name):
        """The folder with the files of a copy."""
        return self.folder / name / "files"

    def data_dir(self, name):
        """Where a copy is prepared, which happens when it is first asked for."""
        copy, data_dir = COPIES[name], self.folder / name / "data"
        if not data_dir.exists():
            content = copy.content()
            source = write_folder(self.files(name), content)
            if copy.write is write_zip:
                source = write_zip(self.folder / name / "copy.zip", content)
            flags = (f"--source={source}", f"--data_dir={data_dir}", *copy.flags)
            out = self.run(prepare, f"--dataset={copy.spec.name}", *flags)
            assert f"cbam_island.py:dataset={copy.spec.name}" in out
        return data_dir

    def weights(self, name):
        """A file of weights of a narrow network with the names of torchvision's."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            options = {"width": 8, "channels": 3, "num_classes": 1000, "rngs": nnx.Rngs(0)}
            if name in resnet.STAGE_SIZES:
                options["stem"] = "imagenet"
            arrays = weights.named(models.create(name, **options))
            np.savez(path, **{name: torch_layout(array) for name, array in arrays.items()})
        return path

    def train(self, workdir, config, argument, name, stages=()):
        """result.json of a shrunk run of a config, whose `stages` are shrunk, too."""
        changes = {
            "model.width": 8,
            "model.dtype": "float32",
            "train.num_epochs": 1,
            "train.batch_size": 4,
            "evaluation.batch_size": 16,
            "evaluation.test_views": ("single",),
        }
        self.run(
            main,
            f"--config={tiny.CONFIG.parent / config}.py:{argument}",
            f"--workdir={workdir}",
            f"--config.dataset.data_dir={self.data_dir(name)}",
            *(
                f"--config.{prefix}{path}={value}"
                for prefix in ("", *(f"stages.{stage}." for stage in stages))
                for path, value in changes.items()
            ),
        )
        return json.loads((workdir / "result.json").read_text())

    def opened(self, name, options):
        """The training, validation and test split of a prepared copy."""
        source = dataset.open_dataset(COPIES[name].spec.name, self.data_dir(name), **options)
        return {split: source.load(split) for split in catalog.SPLITS}

    def check_use(self, workdir, name):
        """A run says of its data what they are, and its scores are those of its use."""
        result, copy = json.loads((workdir / "result.json").read_text()), COPIES[name]
        splits = self.opened(name, result["options"])
        check_splits(splits, copy, result["options"])
        test, counts = result["test"]["single"]["test"], splits["test"].counts(len(copy.names))
        assert (result["dataset"], result["labels"]) == (copy.spec.name, list(copy.names))
        assert result["protocol"] == "honest" and result["selection"]["split"] == "validation"
        assert np.sum(test["confusion"], axis=1).tolist() == list(counts)

        out = workdir / "validation.json"
        self.run(evaluate, f"--workdir={workdir}", "--split=validation", f"--json={out}")
        evaluated = json.loads(out.read_text())
        scores = evaluated["scores"]["single"]["validation"]
        assert scores["accuracy"] == result["selection"]["accuracy"]
        assert scores["num_examples"] == len(splits["validation"])
        assert evaluated["labels"] == list(copy.names)

        paths = [self.file_of(name, key) for key in splits["test"].keys]
        printed = self.run(predict, f"--workdir={workdir}", "--format=csv", *paths)
        confusion = np.zeros((len(copy.names), len(copy.names)), int)
        for path, row in zip(paths, csv.DictReader(io.StringIO(printed)), strict=True):
            found = [float(row[name]) for name in copy.names]
            assert row["file"] == str(path) and row["label"] == copy.names[np.argmax(found)]
            assert sum(found) == pytest.approx(1, abs=1e-5) and not row["error"]
            confusion[copy.names.index(copy.class_of(str(path))), np.argmax(found)] += 1
        if name != "CK+":  # of whose frames the model is shown the faces
            assert confusion.tolist() == test["confusion"]

    def page(self, folder, *runs):
        """The page about some runs in a folder."""
        workdirs = [f"--workdir={folder / run}" for run in runs]
        self.run(report, *workdirs, f"--output={folder / 'page'}")
        return (folder / "page" / "index.html").read_text()

    def file_of(self, name, key):
        """The file of a copy that a key of its examples tells."""
        path = self.files(name) / key
        return path if path.exists() else next(self.files(name).rglob(key))


def speaks(workdir, examples):
    """For each image, whether Grad-CAM finds a place that speaks for the predicted class."""
    trained = TrainedModel.load(workdir, config=None)
    look = Saliency(trained, trained.spec.native_shape)
    return look(np.asarray(examples.images[:], np.float32)).cam.max(axis=(1, 2)) > 0


def torch_layout(array):
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def check_splits(splits, copy, options):
    """Each image is in one split and of the class that the copy tells; persons are in one."""
    keys = [key for part in splits.values() for key in part.keys]
    assert len(keys) == len(set(keys))
    for part in splits.values():
        classes = [copy.names[label] for label in part.labels]
        assert classes == [copy.class_of(key) for key in part.keys]
    if copy.counts:
        counts = {split: part.counts(len(copy.names)) for split, part in splits.items()}
        assert counts == copy.counts
    else:
        fold, persons = options["fold"], {}
        for split, part in splits.items():
            persons[split] = sorted(set(part.subjects))
            assert part.subjects == tuple(file(key)[: len("S005")] for key in part.keys)
        assert persons["test"] == PERSONS[fold::10]
        assert persons["validation"] == PERSONS[(fold + 1) % 10 :: 10]
        assert sorted(itertools.chain(*persons.values())) == PERSONS
        assert len(keys) == 3 * len(LABELLED)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def user(home, run_main):
    return User(home, run_main)


ROWS = [
    ("cbam_island", "image_size=16", "FER2013"),
    ("cbam_island", "dataset=raf_db,image_size=16", "RAF-DB"),
    ("cbam_island", "dataset=ck_plus,fold=3,image_size=16", "CK+48"),
    ("se_cnn", "image_size=16", "FER2013"),
    ("vgg19_attention", "image_size=32", "FER2013"),
    ("se_cnn", "dataset=fer_plus,attention=none,image_size=16", "FER+"),
    ("se_cnn", "dataset=image_folder,name=own,attention=none,image_size=16", "own"),
]


@pytest.mark.parametrize(("config", "argument", "name"), ROWS)
def test_from_a_copy_to_predictions_on_its_files(user, tmp_path, config, argument, name):
    needs_weights = config == "vgg19_attention"
    if needs_weights:
        argument += f",init_from={user.weights('vgg19')}"
    result = user.train(tmp_path, config, argument, name)
    assert bool(result["started_from"]) == needs_weights
    of_data = [text for text in result["departures"] if text.startswith("dataset=")]
    assert bool(of_data) == (name in ("FER+", "own"))
    user.check_use(tmp_path, name)


def test_ck_plus_without_a_fold_is_a_run_for_each_fold(user, tmp_path, monkeypatch):
    """The first two of ten: each has two persons."""
    monkeypatch.setattr(sweep, "NUM_FOLDS", 2)
    row = "dataset=ck_plus,attention=none,loss=softmax,image_size=16"
    summary = user.train(tmp_path, "cbam_island", row, "CK+")
    assert (summary["over"], summary["values"]) == ("fold", [0, 1])
    user.check_use(tmp_path / "fold_1", "CK+")
    tested = [one for one in LABELLED if one.subject in PERSONS[0::10] + PERSONS[1::10]]
    pooled = summary["pooled"]["single"]["test"]
    counts = np.bincount([one.label for one in tested], minlength=7)
    assert np.sum(pooled["confusion"], axis=1).tolist() == (3 * counts).tolist()
    page = user.page(tmp_path, "fold_0", "fold_1")
    assert "The runs cannot be compared: " in page and "fold_1 has another validation" in page


@pytest.mark.parametrize("name", ["CK+", "CK+48"])
def test_every_person_of_ck_plus_is_tested_in_one_fold(user, name):
    for fold in range(10):
        check_splits(user.opened(name, {"fold": fold}), COPIES[name], {"fold": fold})


def test_every_fusion_of_one_pair_of_trunks_on_raf_db(user, tmp_path):
    copy, names = "RAF-DB of Kaggle", ("resnet18", "resnet34")
    starts = "+".join(str(user.weights(name)) for name in names)
    row = f"image_size=32,trunk_init={starts}"
    user.train(tmp_path / "attention", "attention_fusion", row, copy, stages=names)
    trunks = [tmp_path / "attention" / "trunks" / name for name in names]
    for fusion in ("early", "late", "joint"):
        row = f"image_size=32,fusion={fusion},trunks_from={'+'.join(map(str, trunks))}"
        result = user.train(tmp_path / fusion, "attention_fusion", row, copy)
        assert [one["weights"] for one in result["started_from"]] == [*map(str, trunks)]
        assert (result["num_steps"] == 0) == (fusion == "late")
    for fusion in ("attention", "early", "late", "joint"):
        user.check_use(tmp_path / fusion, copy)
    page = user.page(tmp_path, "attention", "late")
    assert "<b>Grad-CAM</b>" in page and "late has no epochs" in page
    assert "attention: Grad-CAM of trunk2." in page and "late has no Grad-CAM" in page
    assert speaks(tmp_path / "attention", user.opened(copy, {})["validation"]).all()
