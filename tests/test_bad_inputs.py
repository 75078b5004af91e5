"""What strangers send harms nothing, hangs nothing, and is answered by one sentence.

Each table names an input, what is done with it, and words of the answer.
"""

import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import save_file

import ferjax
from ferjax import errors, local_files, main, predict
from ferjax.cli import command
from ferjax.data import dataset
from ferjax.data.audit import __main__ as audit
from ferjax.data.images import decoding
from ferjax.data.prepare import __main__ as prepare
from ferjax.errors import UserError
from ferjax.inference.classifier import Classifier
from ferjax.models import weight_files
from ferjax.workdir import checkpoint_files
from ferjax.workdir.directory import ENTRIES, RunDirectory
from tests.helpers import strangers as made
from tests.helpers import watched


@pytest.fixture(autouse=True)
def no_hang():
    """What would wait, or compute, for ever fails instead."""
    patience = watched.Patience([os.getpid()], work=60)
    before = signal.signal(signal.SIGALRM, lambda *_: patience.check())
    # Most tests are over before the first signal, which no system call of theirs then has to bear.
    signal.setitimer(signal.ITIMER_REAL, 20, 20)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def refused(run_main):
    """Runs a command that has to end with one line of error, and returns it."""

    def run(module, *arguments):
        code, _, err = run_main(module, *map(str, arguments))
        last = err.splitlines()[-1]
        assert code == 2 and last.startswith("error: ") and err.count("error: ") == 1, err
        assert "Traceback" not in err
        return last

    return run


@pytest.fixture
def classifies(monkeypatch):
    """`predict` has a model that thinks every face happy."""
    same = functools.partial(np.tile, np.float32([0.75, 0.25]))
    model = Classifier(
        lambda images: same((len(images), 1)), labels=("happy", "sad"), native_shape=(8, 8, 1)
    )
    monkeypatch.setattr(ferjax, "load", lambda *_, **__: model)


IMAGES = {
    "a FIFO": (made.fifo, "cannot be read (it is a FIFO, and a regular file is expected)"),
    "a socket": (made.a_socket, "cannot be read (it is a socket"),
    "a device": (lambda path: "/dev/zero", "/dev/zero cannot be read (it is a device"),
    "a loop of links": (made.loop, "its links lead round in a circle"),
    "a link to nothing": (made.dangling, "is a link to"),
    "no file": (lambda path: path, "There is no file or folder"),
    "a name that is too long": (made.too_long, "the name is too long for a file"),
    "no name": (lambda path: "", "named by ''"),
    "an object store": (lambda path: "gs://b/x.png", "expected a path on this machine"),
    "PostScript": (made.postscript, "is not an image that can be read"),
    "text": (made.text, "is not an image that can be read"),
    "other colours": (made.lab, "has pixels of mode LAB; convert it to 8 bits per channel"),
    "a bomb": (made.png_of(50_000), "pixels, more than the 89,478,485 that an image may have"),
    "a small bomb": (made.png_of(13_000), "has 13000x13000 pixels, more than"),
    "a file cut short": (made.cut, "is a damaged image"),
    "an empty folder": (made.folder, "has no image in it"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name, classifies, refused, tmp_path):
    make, phrase = IMAGES[name]
    assert phrase in refused(predict, "--workdir=run", make(tmp_path / "x.png"))


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_the_limit_of_pixels_holds_whatever_is_done_with_warnings(action, tmp_path):
    path = made.png_of(13_000)(tmp_path / "x.png")
    with (
        warnings.catch_warnings(),
        pytest.raises(UserError, match="pixels, more than the 89,478,485 that an image may have"),
    ):
        warnings.simplefilter(action)
        decoding.opened(path, "x.png")


def test_postscript_starts_no_program(classifies, refused, tmp_path, monkeypatch):
    program = made.text(tmp_path / "gs", f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    refused(predict, "--workdir=run", made.postscript(tmp_path / "x.png"))
    assert not (tmp_path / "started").exists()


def test_an_image_without_permission_is_called_that(classifies, refused, tmp_path, monkeypatch):
    path, opened = made.image(tmp_path / "x.png"), os.open

    def denied(name, *arguments, **keywords):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(name, *arguments, **keywords)

    monkeypatch.setattr(os, "open", denied)
    assert "x.png cannot be read (Permission denied)" in refused(predict, "--workdir=run", path)


def test_what_a_folder_holds_beside_images_is_named(classifies, run_main, tmp_path):
    for make in (made.fifo, made.a_socket, made.loop, made.dangling, made.image):
        make(tmp_path / f"{make.__name__}.png")
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    code, out, err = run_main(predict, "--workdir=run", str(tmp_path))
    assert code == 0 and "image.png" in "".join(out.split())
    assert "5 that cannot be read" in err and len(err.splitlines()) == 1
    for name in ("fifo.png (it is a FIFO", "loop.png (its links", "elsewhere (a link to a folder)"):
        assert name in err


OUTPUTS = {
    "a FIFO": (made.fifo, "it is a FIFO"),
    "a device": (made.device, "out.json, which cannot be written (it is a device"),
    "a link": (made.linked, "it is a link"),
    "a folder": (made.folder, "it is a folder"),
    "the image": (lambda path: path.with_name("face.png"), "what this command reads"),
    "the config of the run": (
        lambda path: made.text(made.folder(path.parent / "run") / "config.json", "{}"),
        "what this command reads",
    ),
    "a file in no folder": (lambda path: path / "x.json", "there is no folder"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name, classifies, refused, tmp_path):
    make, phrase = OUTPUTS[name]
    face, target = made.image(tmp_path / "face.png"), make(tmp_path / "out.json")
    kinds = [path.lstat().st_mode for path in sorted(tmp_path.iterdir())]
    before = face.read_bytes()
    assert phrase in refused(predict, f"--workdir={tmp_path}/run", face, f"--json={target}")
    assert face.read_bytes() == before
    assert kinds == [path.lstat().st_mode for path in sorted(tmp_path.iterdir())]


def test_an_audit_goes_into_a_folder(refused, tmp_path):
    path = made.text(tmp_path / "file")
    assert "(it is a file, and a folder is expected)" in refused(
        audit, "--dataset=synthetic", f"--output={path}"
    )
    made.fifo(tmp_path / "audit.json")
    assert "it is a FIFO" in refused(audit, "--dataset=synthetic", f"--output={tmp_path}")


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


@pytest.mark.parametrize(
    "entry",
    ["", "/mine", "/mine/.preparing", "/mine/incomplete.x", "/mine/2.0.0"],
)
def test_a_data_directory_is_left_through_no_link(entry, refused, tmp_path):
    outside = made.folder(tmp_path / "outside")
    kept = made.text(outside / "kept")
    link = tmp_path / "data" / f"image_folder{entry}"
    link.parent.mkdir(parents=True)
    link.symlink_to(kept if entry.endswith(".preparing") else outside)
    source = made.class_folders(tmp_path / "source")
    arguments = ["--dataset=image_folder", "--name=mine", f"--data_dir={tmp_path}/data"]
    assert f"{link} is a link to {outside}" in refused(prepare, *arguments, f"--source={source}")
    assert os.listdir(outside) == ["kept"] and kept.read_text() == "no image"


@pytest.mark.parametrize("entry", [*ENTRIES, "checkpoints/best", "checkpoints/last/8/weights"])
def test_a_run_folder_is_left_through_no_link(entry, tmp_path):
    kept = made.text(made.folder(tmp_path / "outside") / "kept")
    real = made.folder(tmp_path / "real")
    (tmp_path / "run").symlink_to(real)  # the folder itself may be one
    link = tmp_path / "run" / entry
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(kept if "." in entry else kept.parent)
    config = ConfigDict({"seed": 1})
    with (
        pytest.raises(UserError, match=r"is a link to .*follows no link in a workdir") as caught,
        RunDirectory(tmp_path / "run").claim(config),
    ):
        raise AssertionError("the folder was claimed")
    assert str(link) in str(caught.value)
    assert os.listdir(kept.parent) == ["kept"] and kept.read_text() == "no image"
    link.unlink()
    shutil.rmtree(real / "checkpoints", ignore_errors=True)
    with RunDirectory(tmp_path / "run").claim(config):
        pass


@pytest.mark.parametrize("name", ["result.json", "result.json.new"])
def test_what_is_written_follows_no_link(name, tmp_path):
    kept = made.text(tmp_path / "kept")
    made.folder(tmp_path / "run")
    (tmp_path / "run" / name).symlink_to(kept)
    try:
        RunDirectory(tmp_path / "run").write_result({"a": 1})
    except UserError as error:
        assert name == "result.json" and "it is a link" in str(error)
    assert kept.read_text() == "no image"


@pytest.mark.parametrize("name", ["config.json", "result.json", ".processes"])
def test_files_of_a_run_that_are_fifos(name, tmp_path):
    made.fifo(tmp_path / name)
    directory = RunDirectory(tmp_path)
    if name == ".processes":
        assert directory.found_mark() is None
        return
    with pytest.raises(UserError, match=rf"{name} cannot be read .*it is a FIFO"):
        directory.config_fields() if name == "config.json" else directory.result()


def test_a_checkpoint_with_a_fifo_is_not_read(tmp_path):
    where = tmp_path / "checkpoints" / "best" / "8" / "meta"
    where.mkdir(parents=True)
    made.fifo(where / "metadata")
    with pytest.raises(UserError, match=r"cannot be used .*it is a FIFO"):
        checkpoint_files.newest(tmp_path, "best")


ONE = {"a": np.ones(3, np.float32)}


def _not_finite(path):
    save_file({"a": np.float32([1, np.nan, np.inf])}, path)
    return path


def _saved(array):
    def make(path):
        save_file({"a": array}, path)
        return path

    return make


def _eight_bits(path):
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    return path


WEIGHTS = {
    "a bomb.npz": (
        lambda path: made.npz(path, {"a": np.zeros((1 << 17), np.float64)}),
        r"would unpack to 1,048,\d+ bytes; an \.npz of weights may have 1,000,000",
    ),
    "text.npz": (
        lambda path: made.npz(path, ONE, [("b.txt", "x")]),
        r"'b\.txt', which is no array",
    ),
    "no array.npz": (lambda path: made.npz(path, ONE, [("b.npy", "x")]), r"b is no array of NumPy"),
    "twice.npz": (lambda path: made.npz(path, ONE, [("a.npy", "x")]), r"holds 'a\.npy' twice"),
    "nan.npz": (
        lambda path: made.npz(path, {"a": np.float32([np.nan])}),
        r"a holds 1 numbers of 1",
    ),
    "large.npz": (lambda path: made.npz(path, {"a": np.float64([1e300])}), r"NaN or infinite"),
    "nan.safetensors": (_not_finite, r"a holds 2 numbers of 3 that are NaN or infinite"),
    "whole.npz": (
        lambda path: made.npz(path, {"a": np.int8([1])}),
        r"a has the type int8; expected f",
    ),
    "flags.safetensors": (_saved(np.bool_([True])), r"a has the type bool; expected floating"),
    "complex.safetensors": (_saved(np.complex64([1])), r"a has the type C64; expected F64, F32"),
    "eight.safetensors": (_eight_bits, r"a has the type F8_E4M3; expected F64, F32"),
    "fifo.safetensors": (made.fifo, r"cannot be read \(it is a FIFO"),
    "fifo.npz": (made.fifo, r"cannot be read \(it is a FIFO"),
    "loop.npz": (made.loop, r"its links lead round"),
    "link.pth": (made.dangling, r"it is a link to .*gone, which is not there"),
    "old.pth": (made.text, r"is not read by PyTorch 2\.5\.1.*install torch>=2\.6"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name, tmp_path, monkeypatch):
    make, phrase = WEIGHTS[name]
    monkeypatch.setattr(weight_files, "MAX_NPZ_BYTES", 1_000_000)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.5.1+cpu"))
    with pytest.raises(UserError, match=phrase):
        weight_files.read(make(tmp_path / name))


NAMES = {
    "markup": ("[bold red]x", "[bold red]x"),
    "a tag that is not open": ("x[/b]", "x[/b]"),
    "a link": ("[link=x:y]click", "[link=x:y]click"),
    "an emoji's name": (":smile:", ":smile:"),
    "an escape": ("\x1b]0;x\x07\x1b[31m", r"\x1b]0;x\x07\x1b[31m"),
    "an escape of one byte": ("\x9b31m", r"\x9b31m"),
    "a bidi override": ("a\u202egnp", r"a\u202egnp"),
    "a line": ("a\nb\rc\td", r"a\nb\rc\td"),
    "a line of Unicode": ("a\u2028b", r"a\u2028b"),
    "bytes that are no text": ("caf\udce9", r"caf\xe9"),
    "letters": ("顔é", "顔é"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_and_classes_are_shown_literally(
    name, classifies, run_main, tmp_path, monkeypatch
):
    given, shown = NAMES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ferjax.load(""), "labels", (given, "sad"))
    (tmp_path / f"{given}.png").parent.mkdir(exist_ok=True)
    made.image(tmp_path / f"{given}.png")
    code, out, _ = run_main(predict, "--workdir=run", f"{given}.png")
    assert code == 0 and f"{shown}.png" in out.replace("\n", "") and out.count(shown) >= 2
    assert not set(out) - {"\n"} & {chr(number) for number in (*range(32), *range(127, 160))}
    made.text(tmp_path / f"{given}.png")
    code, _, err = run_main(predict, "--workdir=run", f"{given}.png")
    assert code == 2 and f"{shown}.png is not an image" in err and len(err.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_encoding_of_the_terminal_ends_a_command(encoding, classifies, tmp_path, monkeypatch):
    path = made.image(tmp_path / "顔\udce9.png")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as caught:
        argv = ["predict", "--workdir=run", str(path)]
        command.run(predict.main, flag_values=predict.FLAGS, argv=argv)
    stream.seek(0)
    assert caught.value.code == 0 and "happy" in stream.read()


def test_a_warning_of_a_library_is_one_plain_line(capsys, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    command.output.prepare_streams()
    assert warnings.formatwarning("x\x1b", UserWarning, "/a/path.py", 3) == "warning: x\\x1b\n"


def test_a_defect_prints_no_escapes(capsys):
    errors.explain(ValueError("\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().err


CONFIGS = {
    "JSON": ('{"seed": 1, "x": null}', "is no config; expected a Python file with a function"),
    "a text": ("The quick brown fox", "is no Python file (line 1)"),
    "bytes": ("\0\1", "is no Python file"),
    "deep": ("(" * 1000, "is no Python file"),
    "no get_config": ("open('ran', 'w')", "is no config"),
    "raises": ("def get_config(): return\n1 / 0", "line 2 cannot be run (ZeroDivisionError"),
    "get_config raises": (
        "def get_config():\n  return {}[1]",
        "line 2 cannot be run (KeyError: 1)",
    ),
    "an unknown name": ("get_config = nothing", "NameError: name 'nothing' is not defined"),
    "a wrong type": ("def get_config(): return int('x')", "ValueError: invalid literal"),
    "exits": ("def get_config(): raise SystemExit(0)", "cannot be run (SystemExit"),
    "raises what is no Exception": (
        "def get_config(): raise type('Odd', (BaseException,), {})('x')",
        "cannot be run (Odd: x)",
    ),
    "returns nothing": ("def get_config(): pass", "returns NoneType; expected ConfigDict"),
    "a FIFO": (made.fifo, "it is a FIFO"),
    "a folder": (made.folder, "it is a folder"),
    "a loop": (made.loop, "its links lead round"),
    "a link to nothing": (made.dangling, "it is a link to"),
    "a long name": (made.too_long, "the name is too long"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(name, refused, tmp_path, monkeypatch):
    make, phrase = CONFIGS[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some.py"
    path = made.text(path, make) if isinstance(make, str) else make(path)
    assert phrase in refused(main, f"--config={path}", "--workdir=run")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "run").exists()


def test_a_device_that_is_not_there_is_called_that(run_python):
    code = (
        "from absl import flags\nfrom ferjax.cli import command\n"
        "def main(argv):\n    import jax\n    jax.devices()\n"
        "command.run(main, flag_values=flags.FlagValues(), argv=['x'])"
    )
    done = run_python(code, env={"JAX_PLATFORMS": "rocm"}, check=False)
    assert done.returncode == 2 and "error: JAX_PLATFORMS is rocm, and JAX finds no" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_a_command_imports_is_no_traceback(run_python, repository, tmp_path):
    made.text(made.folder(tmp_path / "absl") / "__init__.py", "raise KeyboardInterrupt")
    path = f"{tmp_path}:{repository}"
    done = run_python(["-m", "ferjax.predict"], env={"PYTHONPATH": path}, check=False)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr == "interrupted from the keyboard\n"


def test_ctrl_c_within_a_callback_is_not_lost(run_python, repository, tmp_path):
    stop = (
        "import gc, os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def stop(*_):\n    gc.callbacks.remove(stop)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "gc.callbacks.append(stop)\ngc.collect()\ntime.sleep(60)\n"
    )
    made.text(made.folder(tmp_path / "absl") / "__init__.py", stop)
    path = f"{tmp_path}:{repository}"
    done = run_python(["-m", "ferjax.predict"], env={"PYTHONPATH": path}, check=False)
    assert done.returncode in (-signal.SIGINT, 130)
    assert done.stderr == "interrupted from the keyboard\n"


@pytest.mark.parametrize("number", [13, 24, 28, 30, 36, 40])
def test_what_the_machine_refuses_is_no_defect(number, run_main, monkeypatch):
    def fails(_):
        raise OSError(number, os.strerror(number), "some file")

    monkeypatch.setattr(predict, "main", fails)
    code, _, err = run_main(predict, "--workdir=run")
    assert code == 2 and "error: some file cannot be read or written (" in err


@pytest.mark.parametrize(
    ("closed", "code", "out"), [("<&- 2>&-", 0, "''2\n"), (">&-", 1, ""), ("<&- >&- 2>&-", 1, "")]
)
def test_a_closed_standard_output_is_refused_and_other_streams_are_not_missed(
    closed, code, out, repository
):
    program = (
        "import sys\nfrom ferjax.cli import output\noutput.prepare_streams()\n"
        "print(repr(sys.stdin.read()), sys.stderr.fileno(), sep='')"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, out)
    assert ("Standard output is closed; redirect it" in done.stderr) == (closed == ">&-")


@pytest.mark.parametrize("main_", [lambda _: None, lambda _: command.output.say("x")])
def test_a_full_standard_output_is_said(main_, monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    # What silences the descriptor of a real one gives this one a buffer that takes it.
    monkeypatch.setattr(
        command.output, "silence", lambda: monkeypatch.setattr(sys, "stdout", io.StringIO())
    )
    with pytest.raises(SystemExit) as caught:
        command.run(main_, flag_values=predict.FLAGS, argv=["x", "--workdir=run"])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err == "error: Standard output cannot be written (No space left on device).\n"


def test_what_fails_halfway_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        local_files.write(tmp_path / "x.json", b"1")
    assert os.listdir(tmp_path) == []
