"""The command that classifies files: what it writes, and when."""

import contextlib
import csv
import functools
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import ferjax
from ferjax import predict
from ferjax.inference.classifier import Classifier
from tests.helpers import strangers as made


@pytest.fixture(autouse=True)
def model(monkeypatch):
    """It thinks every face happy."""
    same = functools.partial(np.tile, np.float32([0.75, 0.25]))
    found = Classifier(
        lambda images: same((len(images), 1)), labels=("happy", "sad"), native_shape=(8, 8, 1)
    )
    monkeypatch.setattr(ferjax, "load", lambda *_, **__: found)


@pytest.fixture
def run(run_main, tmp_path):
    return functools.partial(run_main, predict, f"--workdir={tmp_path}/run")


@pytest.fixture
def folder(tmp_path):
    """100 images, of which three cannot be read, and a video."""
    path = tmp_path / "faces [1]"
    path.mkdir()
    for number in range(100):
        made.image(path / f"{number:03}.png", seed=number)
    made.cut(path / "007.png")
    made.text(path / "050.png", "<html>")
    made.text(path / "099.png", "")
    (path / "clip.MP4").write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isom")
    return path


BAD = {"007.png": "is a damaged image", "050.png": "a web page", "099.png": "an empty file"}


def check_errors(err, folder):
    """The three are listed last, after what was left out and the progress."""
    lines = err.splitlines()
    assert lines[0].startswith(
        f"Left out of {folder}: 1 video ({folder}/clip.MP4). Save its frames"
    )
    assert [line.split(": ")[0] for line in lines[1:5]] == ["classifying"] * 4
    assert lines[4].endswith("100 of 100")
    assert lines[-5].startswith("No face was looked for: each image was taken for the crop of one")
    assert lines[-4] == "error: 3 of 100 files could not be read; the others were classified:"
    for line, (name, reason) in zip(lines[-3:], BAD.items(), strict=True):
        assert line.startswith(f"  {folder}/{name} ") and reason in line


def test_bad_files_end_in_code_2_after_all_others(run, folder):
    code, out, err = run(str(folder))
    check_errors(err, folder)
    header, *lines = out.splitlines()
    assert code == 2 and header.split() == ["expression", "happy", "sad", "file"]
    assert len(lines) == 97 and lines[0].split("  ")[-1] == f"{folder}/000.png"


def test_csv(run, folder):
    code, out, err = run(str(folder), "--format=csv")
    check_errors(err, folder)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 2 and len(rows) == 100
    for number, row in enumerate(rows):
        assert row["file"] == f"{folder}/{number:03}.png"
        assert bool(row["error"]) == (row["file"][-7:] in BAD)
        assert (row["label"], row["happy"]) == (("", "") if row["error"] else ("happy", "0.75"))


@pytest.mark.parametrize("flags", [["--format=json"], ["--json=-"], ["--json=/dev/stdout"]])
def test_json_on_standard_output(run, folder, flags):
    code, out, _ = run(str(folder), *flags)
    found = json.loads(out)
    assert code == 2 and len(found["images"]) == 97 and found["complete"]
    assert [os.path.basename(one["file"]) for one in found["unreadable"]] == list(BAD)


def test_json_lines(run, folder):
    code, out, _ = run(str(folder), "--format=jsonl")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 2 and sum("error" in one for one in found) == 3 and len(found) == 100


def test_a_file_of_json_beside_another_format(run, folder, tmp_path):
    code, out, _ = run(str(folder), "--format=csv", f"--json={tmp_path}/out.json")
    assert code == 2 and len(out.splitlines()) == 101
    assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == 97


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format=cvs"], "--format is 'cvs'; expected one of table, csv, json, jsonl"),
        (["--json=-", "--format=csv"], "both say what standard output gets"),
    ],
)
def test_formats_that_contradict_are_refused(run, folder, flags, said):
    code, out, err = run(str(folder), *flags)
    assert (code, out) == (2, "") and said in err


def test_all_good_is_code_0(run, tmp_path):
    code, out, err = run(str(made.image(tmp_path / "a.png")))
    assert code == 0 and len(out.splitlines()) == 2 and len(err.splitlines()) == 1


def test_one_bad_file_is_one_sentence(run, tmp_path):
    code, out, err = run(str(made.cut(tmp_path / "a.png")))
    assert (code, out) == (2, "") and err.startswith(f"error: {tmp_path}/a.png is a damaged image")


def test_many_bad_files_are_counted(run, tmp_path):
    for number in range(30):
        made.text(tmp_path / f"{number:02}.png")
    code, out, err = run(str(tmp_path))
    assert (code, out) == (2, "")
    assert "error: 30 of 30 files could not be read:\n" in err and "others" not in err
    assert err.count("is not an image") == 20 and "  and 10 more; --format=csv" in err


def test_what_is_missing_among_others_is_told_in_the_end(run, tmp_path):
    face, empty = made.image(tmp_path / "a.png"), made.folder(tmp_path / "empty")
    code, out, err = run(str(tmp_path / "gone.png"), str(face), str(empty), "--format=csv")
    assert code == 2 and [line.split(",")[1] for line in out.splitlines()[1:]] == ["", "happy"]
    assert "gone.png cannot be read (No such file" in err and "empty has no image in it" in err


PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, {repository!r})
import ferjax
from ferjax import predict
from ferjax.cli import command
from ferjax.inference.classifier import Classifier

batches = 0

def model(images):
    global batches
    batches += 1
    if batches == {stop}:
        Path("stopped").touch()
        time.sleep(3600)
    return np.tile(np.float32([0.75, 0.25]), (len(images), 1))

ferjax.load = lambda *_, **__: Classifier(model, labels=("happy", "sad"), native_shape=(8, 8, 1))
arguments = ["predict", "--workdir=run", "faces [1]", *sys.argv[1:]]
command.run(predict.main, flag_values=predict.FLAGS, argv=arguments)
"""


def started(repository, folder, *arguments, stop=0, **streams):
    program = PROGRAM.format(repository=str(repository), stop=stop)
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=folder.parent, **streams
    )


def test_what_is_killed_has_written_all_but_the_last_batches(repository, folder, tmp_path):
    for number in range(100, 300):
        made.image(folder / f"{number}.png", seed=number)
    with (tmp_path / "out.jsonl").open("wb") as out:
        process = started(
            repository, folder, "--format=jsonl", "--json=out.json", stop=4, stdout=out
        )
        until = time.monotonic() + 120
        while not (tmp_path / "stopped").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = json.loads((tmp_path / "out.json").read_text())
    assert len(found["images"]) == 3 * 64 and found["complete"] is False
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line for line in lines if "label" in line] == found["images"]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_bar_on_a_terminal_takes_nothing_of_what_goes_into_a_file(
    repository, folder, tmp_path, form
):
    leader, follower = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        process = started(repository, folder, f"--format={form}", stdout=out, stderr=follower)
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal that nobody writes to any more
            while part := os.read(leader, 4096):
                shown += part
        assert process.wait() == 2
    os.close(leader)
    assert b"classifying" in shown and b"000.png" not in shown
    written = (tmp_path / "out").read_text()
    assert written.count(".png") >= 97
    if form == "json":
        assert json.loads(written)["complete"]


@pytest.mark.parametrize(("arguments", "rows"), [([], 0), (["--json=out.json"], 97)])
def test_a_reader_that_stops_early_takes_no_results(repository, folder, tmp_path, arguments, rows):
    process = started(
        repository,
        folder,
        "--format=csv",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    if rows:
        assert process.wait() == 2  # of the bad files
        assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == rows
    else:
        assert process.wait() == 0
    assert "Traceback" not in err
