"""Sources of data sets, and prepared ones, of strangers."""

import json
import shutil
import zipfile

import pytest
from ml_collections import ConfigDict

from ferjax.data import dataset
from ferjax.data.audit import __main__ as audit
from ferjax.data.prepare import __main__ as prepare
from ferjax.errors import UserError
from ferjax.workdir.directory import RunDirectory
from tests.helpers import strangers as made

SOURCES = {
    "a FIFO": (made.fifo, "it is a FIFO"),
    "a socket": (made.a_socket, "it is a socket"),
    "a loop of links": (made.loop, "its links lead round in a circle"),
    "a name that is too long": (made.too_long, "the name is too long"),
    "a FIFO in a class": (made.with_entry("sad/f.png", made.fifo), "f.png cannot be read (it is"),
    "a socket in a class": (made.with_entry("sad/s.png", made.a_socket), "it is a socket"),
    "a loop in a class": (made.with_entry("sad/l.png", made.loop), "l.png is a link to"),
    "a link to nothing in a class": (made.with_entry("sad/d.png", made.dangling), "is a link to"),
    "a bomb in a class": (made.with_entry("sad/b.png", made.png_of(50_000)), "more than the"),
    "PostScript in a class": (made.with_entry("sad/e.png", made.postscript), "is not an image"),
    "a name that is no text": (made.with_entry("sad/\udce9.png", made.image), "is not UTF-8"),
    "a class that is no text": (made.with_entry("\udce9", made.folder), "is not UTF-8"),
    "damaged lzma": (
        made.archive(method=zipfile.ZIP_LZMA, change=made.damage_first_member),
        "happy/0.png in",
    ),
    "damaged bz2": (
        made.archive(method=zipfile.ZIP_BZIP2, change=made.damage_first_member),
        "happy/0.png in",
    ),
    "damaged deflate": (
        made.archive(method=zipfile.ZIP_DEFLATED, change=made.damage_first_member),
        "happy/0.png in",
    ),
    "names that are no text": (made.archive(change=made.not_utf8), "list of files cannot be read"),
    "encrypted": (made.archive(change=made.encrypt_flag), "is encrypted; unpack"),
    "one name twice": (made.archive(more=["sad//0.png"]), "holds 2 files named 'sad/0.png'"),
    "names of a terminal": (made.archive(more=[f"{made.EVIL}/x/y.png"]), made.EVIL_SHOWN),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(name, refused, tmp_path):
    make, phrase = SOURCES[name]
    source = make(tmp_path / "source.zip")
    arguments = ["--dataset=image_folder", "--name=mine", f"--data_dir={tmp_path}/data"]
    assert phrase in refused(prepare, *arguments, f"--source={source}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data directory with a prepared data set, and what preparing it said."""
    folder = tmp_path_factory.mktemp("prepared")
    hidden = [".secret.png", ".git/a.png", "__MACOSX/._0.png", "happy/.DS_Store"]
    source = made.archive(more=["happy//more.png", *hidden])(folder / "source.zip")
    from ferjax.data import catalog
    from ferjax.data.prepare import preparation

    data_dir = folder / "data"
    found = preparation.prepare(catalog.find("image_folder"), source, data_dir, name="mine")
    return data_dir, found


def test_what_is_left_out_of_a_zip_is_counted(prepared):
    _, found = prepared
    assert found.counts == {"whole": (13, 12)}
    assert any("2 hidden files" in one and ".secret.png" in one for one in found.notes)


def edited(name, change):
    def make(folder):
        fields = json.loads((folder / name).read_text())
        change(fields)
        (folder / name).write_text(json.dumps(fields))

    return make


def features(change):
    return edited("features.json", lambda fields: change(fields["featuresDict"]["features"]))


def info(change):
    return edited("dataset_info.json", change)


def replaced_by(make, pattern):
    def replace(folder):
        (path,) = folder.glob(pattern)
        path.unlink()
        make(path)

    return replace


EVIL_CLASS = "evil_module.Feature"
DATA = {
    "a class of a module": features(lambda all_: all_["key"].update(pythonClassName=EVIL_CLASS)),
    "a class at the top": edited("features.json", lambda f: f.update(pythonClassName=EVIL_CLASS)),
    "the older form": edited("features.json", lambda f: f.update(type=EVIL_CLASS, content={})),
    "one more feature": features(lambda all_: all_.update(more={"pythonClassName": EVIL_CLASS})),
    "a feature of ours elsewhere": features(lambda all_: all_.update(subject=all_["label"])),
    "an image of another type": features(lambda f: f["image"]["image"].update(dtype="int64")),
    "an endless shape": features(
        lambda f: f["image"]["image"]["shape"].update(dimensions=["9" * 18, "8", "1"])
    ),
    "no features": edited("features.json", dict.clear),
    "a template": info(lambda f: f["splits"][0].update(filepathTemplate="../{DATASET}")),
    "a template of attributes": info(
        lambda f: f["splits"][0].update(filepathTemplate="{0.__class__}")
    ),
    "a name that is a path": info(lambda f: f.update(name="../../x")),
    "another module": info(lambda f: f.update(moduleName="evil_module")),
    "another format": info(lambda f: f.update(fileFormat="tfrecord")),
    "one more field": info(lambda f: f.update(alternativeFileFormats=["riegeli"])),
    "a description that is a list": info(lambda f: f.update(description=[1])),
    "a place that is a number": info(lambda f: f.update(location=5)),
    "a place of another kind": info(lambda f: f.update(location={"urls": ["x"], "x": 1})),
    "other supervised keys": info(lambda f: f.update(supervisedKeys={"tuple": 5})),
    "another version": info(lambda f: f.update(version="x")),
    "no splits": info(lambda f: f.update(splits=[])),
    "shards of no number": info(lambda f: f["splits"][0].update(shardLengths=["x"])),
    "deep JSON": lambda folder: made.text(folder / "features.json", "[" * 100_000),
    "a list": lambda folder: made.text(folder / "features.json", "[]"),
    "a FIFO for records": replaced_by(made.fifo, "*.array_record-*"),
    "a FIFO for features": replaced_by(made.fifo, "features.json"),
    "a device for metadata": replaced_by(lambda p: p.symlink_to("/dev/zero"), "metadata.json"),
}


@pytest.mark.parametrize("name", DATA)
def test_prepared_data(name, prepared, tmp_path, monkeypatch):
    made.text(tmp_path / "evil_module.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copytree(prepared[0], tmp_path / "data")
    DATA[name](tmp_path / "data" / "image_folder" / "mine" / "2.0.0")
    with pytest.raises(UserError, match=r"is not what ferjax writes|cannot be read") as caught:
        dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    assert not (tmp_path / "ran").exists()
    assert len(str(caught.value).splitlines()) == 1


def test_records_of_other_images_are_refused(prepared, tmp_path):
    from ferjax.data import catalog
    from ferjax.data.prepare import preparation

    source = made.with_entry("happy/more.png", made.image)(tmp_path / "source")
    preparation.prepare(catalog.find("image_folder"), source, tmp_path / "other", name="mine")
    shutil.copytree(prepared[0], tmp_path / "data")
    (records,) = (tmp_path / "other").rglob("*.array_record-*")
    shutil.copy(records, tmp_path / "data" / records.relative_to(tmp_path / "other"))
    opened = dataset.open_dataset("image_folder", tmp_path / "data", name="mine")
    with pytest.raises(UserError, match="not hold the examples that its fingerprint is of"):
        _ = opened.num_examples["test"]


NO_FOLDERS = {
    "a file": (made.text, "it is a file, and a folder is expected"),
    "a FIFO": (made.fifo, "it is a FIFO, and a folder is expected"),
    "a loop": (made.loop, "its links lead round in a circle"),
    "a link to nothing": (made.dangling, "which is not there"),
    "a long name": (made.too_long, "the name is too long for a file"),
}


@pytest.mark.parametrize("name", NO_FOLDERS)
def test_what_stands_in_the_place_of_a_folder_is_named(name, refused, tmp_path):
    make, phrase = NO_FOLDERS[name]
    path = make(tmp_path / "x")
    arguments = ["--dataset=image_folder", "--options=name=mine"]
    said = refused(audit, *arguments, f"--data_dir={path}")
    assert f"{path} cannot be looked at (" in said and phrase in said and "--data_dir" in said
    assert f"cannot write to {path} (" in refused(audit, *arguments, f"--output={path}")
    with pytest.raises(UserError) as caught:
        RunDirectory(path).config()
    assert phrase in str(caught.value) and "Give the --workdir of a run" in str(caught.value)
    with pytest.raises(UserError) as caught, RunDirectory(path / "run").claim(ConfigDict()):
        pass
    assert "cannot be made (" in str(caught.value) and phrase in str(caught.value)


def test_prepared_data_of_ours_are_opened(prepared):
    opened = dataset.open_dataset("image_folder", prepared[0], name="mine")
    assert opened.labels.names == ("happy", "sad")
