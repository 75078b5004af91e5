"""Prepared data of a stranger whose files say something else, given to `evaluate`."""

import functools
import json
import os
import shutil
import subprocess
import sys

from tests.helpers import strangers as made
from tests.measure.bad_inputs import shared
from tests.measure.bad_inputs.case import Case, Stage

_SET = "image_folder/mine/2.0.0"
_RECORDS = "image_folder-whole.array_record-00000-of-00001"
_AGAIN = "prepare"


def _evaluate(change):
    """A maker of a command on prepared data that `change` has damaged."""

    def command(stage: Stage):
        change(stage.data() / _SET)
        return "evaluate", f"--workdir={stage.shared}/tiny", "--data_dir=data"

    return command


def _edited(name, change):
    """Damage of a file of JSON, whose fields `change` alters."""

    def edit(folder):
        fields = json.loads((folder / name).read_text())
        change(fields)
        (folder / name).write_text(json.dumps(fields))

    return edit


def _text(name, content):
    return lambda folder: made.text(folder / name, content)


def _gone(name):
    return lambda folder: (folder / name).unlink()


_info = functools.partial(_edited, "dataset_info.json")
_metadata = functools.partial(_edited, "metadata.json")


def _features(change):
    return _edited("features.json", lambda fields: change(fields["featuresDict"]["features"]))


def _split(**fields):
    return _info(lambda info: info["splits"][0].update(fields))


def _shape(*dimensions):
    return _features(lambda all_: all_["image"]["image"]["shape"].update(dimensions=dimensions))


def _flipped(folder):
    data = bytearray((folder / _RECORDS).read_bytes())
    data[65_560] ^= 255  # within the header of the second block
    (folder / _RECORDS).write_bytes(data)


def _other_records(folder):
    """Puts the records of other images of the same classes in the place of these."""
    here = folder.parents[3]
    for label in ("happy", "sad"):
        (here / "others" / label).mkdir(parents=True)
        for number in range(40):
            seed = 1000 + number + 100 * (label == "sad")
            made.image(here / "others" / label / f"{number}.png", seed=seed, size=(16, 16))
    arguments = ["--dataset=image_folder", "--name=other", "--source=others", "--data_dir=made"]
    subprocess.run(
        [sys.executable, "-m", "ferjax.data.prepare", *arguments],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(shared.REPOSITORY)},
        capture_output=True,
        check=True,
    )
    shutil.copy(here / "made/image_folder/other/2.0.0" / _RECORDS, folder / _RECORDS)


def _module(folder):
    """Names a module of the working folder as the class of a feature."""
    made.text(folder.parents[3] / "evil_module.py", "open('ran', 'w')\nclass Feature: pass\n")
    change = _features(lambda all_: all_["key"].update(pythonClassName="evil_module.Feature"))
    change(folder)


def _module_at_the_top(folder):
    _module(folder)
    _edited("features.json", lambda all_: all_.update(pythonClassName="evil_module.Feature"))(
        folder
    )


def _ran(stage: Stage) -> None:
    assert not (stage.here / "ran").exists(), "a module that features.json names was imported"


_FEATURES = "data/image_folder/mine/2.0.0/features.json is not what ferjax writes"
_INFO = "data/image_folder/mine/2.0.0/dataset_info.json is not what ferjax writes"
_META = "data/image_folder/mine/2.0.0/metadata.json"
_NOT_JSON = "damaged (Expecting value: line 1 column 1 (char 0))"
# name, what, the damage, what is said
_CASES = [
    ("deep", "deep JSON", _text("metadata.json", '{"a":' * 100_000), [_META, "deeper than 64"]),
    ("fpint", "a fingerprint of 5", _metadata(lambda f: f.update(fingerprint=5)), [_META, "= 5"]),
    (
        "garb_dataset_info",
        "dataset_info.json is no JSON",
        _text("dataset_info.json", "garbage"),
        [_INFO, _NOT_JSON],
    ),
    (
        "garb_features",
        "features.json is no JSON",
        _text("features.json", "garbage"),
        [_FEATURES, _NOT_JSON],
    ),
    (
        "garb_metadata",
        "metadata.json is no JSON",
        _text("metadata.json", "garbage"),
        [_META, _NOT_JSON],
    ),
    (
        "garb_label",
        "other names of classes",
        _text("label.labels.txt", "garbage\n"),
        ["knows the classes happy, sad", "garbage"],
    ),
    (
        "gone_features",
        "no features.json",
        _gone("features.json"),
        ["A folder of images named mine is only half there", "python -m ferjax.data.prepare"],
    ),
    (
        "labels_swap",
        "classes in another order",
        _text("label.labels.txt", "sad\nhappy\n"),
        ["knows the classes happy, sad, and the prepared data set has sad, happy"],
    ),
    (
        "labels_esc",
        "classes with escapes of a terminal",
        _text("label.labels.txt", "\x1b]0;x\x07[/b]\nsad\n"),
        ["happy, sad", r"\x1b]0;x\x07[/b]"],
    ),
    (
        "labels_same",
        "a class twice",
        _text("label.labels.txt", "sad\nsad\n"),
        ["expected class names, none of them empty or there twice"],
    ),
    ("metalist", "metadata.json is a list", _text("metadata.json", "[]"), [_META, "an object"]),
    (
        "nofp",
        "no fingerprint",
        _metadata(lambda fields: fields.pop("fingerprint")),
        [_META, "has no field 'fingerprint'"],
    ),
    ("nolabel", "no label", _features(lambda all_: all_.pop("label")), [_FEATURES, "'label'"]),
    (
        "noshape",
        "no shape",
        _features(lambda all_: all_["image"]["image"].pop("shape")),
        [_FEATURES, "'shape'"],
    ),
    (
        "shapehuge",
        "images of 10^8 pixels a side",
        _shape("100000000", "100000000", "1"),
        [_FEATURES, "100000000 is more than 65536"],
    ),
    ("shape", "images of another size", _shape("8", "8", "1"), ["cannot be read"]),
    (
        "rec_other",
        "records of other images",
        _other_records,
        ["does not hold the examples that its fingerprint is of"],
    ),
    ("rec_flip", "a byte turned over", _flipped, ["the whole split in", "cannot be read"]),
    ("rec_zero", "records of no byte", _text(_RECORDS, ""), ["the whole split in"]),
    (
        "split",
        "a split named evil",
        _split(name="evil"),
        [_INFO, "a split is named 'evil', expected one of train, validation, test, whole"],
    ),
    (
        "template",
        "names of files in another folder",
        _split(filepathTemplate="../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"),
        [_INFO, "filepathTemplate of whole is '../{DATASET}"],
    ),
    (
        "template2",
        "names of files with an attribute",
        _split(filepathTemplate="{EVIL}{0.__class__}"),
        [_INFO, "filepathTemplate of whole is '{EVIL}{0.__class__}'"],
    ),
    (
        "version",
        "version x",
        _info(lambda info: info.update(version="x")),
        [_INFO, "version is 'x'"],
    ),
]

CASES = [
    *(
        Case(f"tfds.{name}", what, _evaluate(change), says=[*said, _AGAIN])
        for name, what, change, said in _CASES
    ),
    Case("tfds.good", "good data", _evaluate(lambda folder: None), code=0, says=["Scores on test"]),
    Case(
        "tfds.import",
        "a feature of a module",
        _evaluate(_module),
        says=[_FEATURES, "evil_module.Feature"],
        check=_ran,
    ),
    Case(
        "tfds.import2",
        "features of a module",
        _evaluate(_module_at_the_top),
        says=[_FEATURES, "evil_module.Feature"],
        check=_ran,
    ),
    Case(
        "tfds.cli",
        "a feature of a module, by the real command line",
        _evaluate(_module),
        says=[_FEATURES, "evil_module.Feature"],
        check=_ran,
        process=True,
    ),
]
