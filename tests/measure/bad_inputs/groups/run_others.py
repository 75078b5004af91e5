"""Run folders whose files are of two runs, or name places that a stranger chose."""

import shutil

from tests.helpers import strangers as made
from tests.helpers.edited import edit, edit_checkpoints
from tests.measure.bad_inputs import damaged_runs, shared
from tests.measure.bad_inputs.case import Case

_OTHER_DATA = "0" * 64
_FIX = "Restore the folder from a copy, or train again in an empty workdir"
_TWO = "run holds files of two runs: "


def _spec(path, value, kind="*"):
    return lambda run: edit_checkpoints(run, (f"spec/{path}", value), kind=kind)


def _of_other_data(run):
    """The checkpoints are those of a run on other data of other classes."""
    changes = {
        "dataset": "raf_db",
        "fingerprint": _OTHER_DATA,
        "labels": ["calm", "wild"],
        "preprocessing/mean": [0.1],
    }
    for path, value in changes.items():
        _spec(path, value)(run)


_LABELS = 'labels is ["happy", "sad"] in result.json and ["calm", "wild"] in the checkpoint'
_DATASET = 'dataset is "image_folder" in result.json and "raf_db" in the checkpoint'
_CONTRADICTIONS = {
    "a_other": (_of_other_data, _DATASET),
    "m_labels_swapped": (
        _spec("labels", ["sad", "happy"]),
        'labels is ["happy", "sad"] in result.json and ["sad", "happy"] in the checkpoint',
    ),
    "a_other_labels": (_spec("labels", ["calm", "wild"]), _LABELS),
    "a_other_fingerprint": (_spec("fingerprint", _OTHER_DATA), 'fingerprint is "'),
    "a_other_preprocessing": (
        _spec("preprocessing/order", "bgr"),
        'preprocessing.order is "rgb" in config.json and "bgr" in the checkpoint',
    ),
    "a_other_seed": (_spec("seed", 7), "seed is 0 in result.json and 7 in the checkpoint"),
    "a_other_fold": (
        _spec("options", {"name": "mine", "held_out": 0.1, "test_share": 0.1, "split_seed": 1}),
        "options is {",
    ),
    "a_other_epoch": (
        lambda run: (run / "checkpoints/best/8").rename(run / "checkpoints/best/16"),
        "step is 8 in result.json and 16 in the checkpoint",
    ),
}
_UNFINISHED = {
    "a_other_seed": "seed is 0 in config.json and 7 in the checkpoint",
    "a_other": 'dataset is "image_folder" in config.json and "raf_db" in the checkpoint',
}
_RESUMED = "was made with"


def _load(stage):
    """`ferjax.load` has no command of its own; a config is a program that may call it."""
    _of_other_data(stage.run())
    made.text(
        stage.here / "load.py",
        "import ferjax\n\n\ndef get_config(_=''):\n    return ferjax.load('run')\n",
    )
    return "main", "--config=load.py", "--workdir=new"


def _start_from(content):
    """A run that starts from one whose result.json has this content."""

    def command(stage):
        damaged_runs.file("result.json", content)(stage.run())
        return "main", *shared.TINY, "--config.init_from=run", "--workdir=new"

    return command


def _start_from_other(stage):
    _of_other_data(stage.run())
    return "main", *shared.TINY, "--config.init_from=run", "--workdir=new"


def _of_a_stranger(dataset, options, data_dir):
    """All files of the run agree in a data set and in the folder where it is."""

    def damage(run):
        edit(run / "config.json", ("dataset/name", dataset), ("dataset/data_dir", data_dir))
        edit(run / "config.json", ("dataset/options", options))
        edit(run / "result.json", ("dataset", dataset), ("options", options))
        for path, value in (("dataset", dataset), ("options", options)):
            _spec(path, value)(run)

    return damage


_MINE = {"name": "mine", "held_out": 0.1, "test_share": 0.1, "split_seed": 0}
_SYNTHETIC = {"seed": 0, "image_size": 16, "num_train": 7, "num_validation": 7, "num_test": 7}


def _nothing_made(stage):
    assert not (stage.here / "stranger").exists(), "a data set was made in the stranger's folder"


def _hidden(stage):
    source = made.class_folders(stage.here / "source")
    for number in range(6):
        shutil.copy(source / "sad" / "0.png", source / "happy" / f".{number}.png")
    return "prepare", "--dataset=image_folder", "--name=hid", "--source=source", "--data_dir=made"


CASES = [
    *(
        Case(
            f"run.{name}{suffix}",
            f"the files are of two runs: {said}",
            command(damage),
            says=[_TWO, said, _FIX],
        )
        for name, (damage, said) in _CONTRADICTIONS.items()
        for suffix, command in (("", damaged_runs.predict), ("_evaluate", damaged_runs.evaluate))
    ),
    *(
        Case(
            f"run.{name}_unfinished",
            "the checkpoint is of another run than config.json, and there is no result.json",
            damaged_runs.predict(
                damaged_runs.every(_CONTRADICTIONS[name][0], damaged_runs.removed("result.json"))
            ),
            says=[_TWO, said, _FIX],
        )
        for name, said in _UNFINISHED.items()
    ),
    Case("run.a_other_load", "ferjax.load of files of two runs", _load, says=[_TWO, _DATASET]),
    Case(
        "run.a_other_start",
        "init_from a folder of files of two runs",
        _start_from_other,
        says=[_TWO, _DATASET, _FIX],
    ),
    *(
        Case(
            f"run.{name}_resume",
            "the run is resumed from a checkpoint of another one",
            damaged_runs.train(_CONTRADICTIONS[name][0], finished=False),
            says=["The checkpoint in run was made with", said, "start in another workdir"],
        )
        for name, said in (("a_other", "labels"), ("a_other_seed", "seed = 7"))
    ),
    Case(
        "run.cfg_other",
        "the workdir of a run with another seed",
        damaged_runs.train(damaged_runs.nothing, "--config.seed=7"),
        says=["The workdir run holds the run of another config: seed is 0 there and 7 here"],
    ),
    *(
        Case(
            f"run.{name}",
            f"init_from a run whose result.json holds {content}",
            _start_from(content),
            says=["run/result.json", said, "restore it from a copy"],
        )
        for name, content, said in (
            ("m_data", "[1, 2]", "holds [1, 2], expected an object"),
            ("m_data2", "{}", "has no field 'format', expected 1"),
            ("m_data3", "5", "holds 5, expected an object"),
        )
    ),
    Case(
        "run.d_write",
        "config.json of a stranger names a data folder, in which faces would be made",
        damaged_runs.evaluate(_of_a_stranger("synthetic", _SYNTHETIC, "stranger")),
        says=[
            "not in stranger, and none are made in a folder that a run's config.json names",
            "Name a folder of yours with --data_dir",
        ],
        check=_nothing_made,
    ),
    Case(
        "run.d_gs",
        "config.json of a stranger names a bucket",
        damaged_runs.evaluate(_of_a_stranger("image_folder", _MINE, "gs://stranger/x")),
        says=["gs://stranger/x, in a bucket that you did not name", "--data_dir"],
    ),
    Case(
        "run.hidden",
        "six hidden images in a folder of images: the others are prepared, and these counted",
        _hidden,
        code=0,
        says=["6 hidden files", ".0.png"],
    ),
]
