"""Where predictions go while they come."""

import io
import json
import os
import stat
import sys

import pytest

from ferjax import filesystem
from ferjax.cli import output
from ferjax.errors import UserError
from ferjax.inference import formats
from ferjax.inference.formats import Row
from ferjax.inference.sinks import GrowingFile, StandardOutput
from tests.helpers.bucket import _server, store  # noqa: F401 - fixtures

NAMES = ("happy", "sad")


def rows(*numbers):
    return [Row(f"{number}.png", "happy", [0.5, 0.5]) for number in numbers]


def growing(place):
    return GrowingFile(formats.create("json", NAMES, "run"), place)


def files_in(path):
    return [one["file"] for one in json.loads(path.read_text())["images"]]


def test_a_file_is_whole_after_every_batch(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("what was there" * 100)
    sink = growing(path)
    assert path.read_text() == "what was there" * 100  # a model that cannot be loaded loses nothing
    for number in range(3):
        sink.write(rows(2 * number, 2 * number + 1))
        assert files_in(path) == [f"{each}.png" for each in range(2 * number + 2)]
        assert json.loads(path.read_text())["complete"] is False
    sink.write([Row("bad.png", "", [], [], "bad.png is no image")])
    sink.end(complete=True)
    found = json.loads(path.read_text())
    assert found["complete"] and found["unreadable"] == [
        {"file": "bad.png", "error": "bad.png is no image"}
    ]
    assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0


def test_work_that_is_broken_off_leaves_a_whole_file(tmp_path):
    path = tmp_path / "out.json"
    sink = growing(path)
    sink.write(rows(1))
    sink.end(complete=False)
    assert files_in(path) == ["1.png"]


def test_a_file_of_no_rows_is_made_in_the_end(tmp_path):
    sink = growing(tmp_path / "out.json")
    sink.write([])
    sink.end(complete=True)
    assert files_in(tmp_path / "out.json") == []


def test_a_full_disk_leaves_the_rows_that_were_there(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    sink = growing(path)
    sink.write(rows(1))
    written, room = os.pwrite, 50

    def little_room(file, data, position):
        if len(data) > room + 40:
            written(file, data[:room], position)
            raise OSError(28, "No space left on device")
        return written(file, data, position)

    monkeypatch.setattr(os, "pwrite", little_room)
    with pytest.raises(UserError, match=r"out\.json cannot be written \(No space left on device\)"):
        sink.write(rows(*range(100)))
    assert files_in(path) == ["1.png"]


def test_a_full_disk_leaves_what_another_command_wrote(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    path.write_text("what was there")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match=r"out\.json cannot be written \(No space left on device\)"):
        growing(path).write(rows(1))
    assert path.read_text() == "what was there" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("needed", [False, True])
def test_a_full_standard_output_ends_no_other_result(needed, monkeypatch):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(output, "silence", lambda: None)
    sink = StandardOutput(formats.create("csv", NAMES, "run"), is_needed=needed)
    said = r"Standard output cannot be written \(No space left on device\)"
    if needed:
        with pytest.raises(UserError, match=said):
            sink.write(rows(1))
        return
    sink.write(rows(1))
    sink.write(rows(2))
    with pytest.raises(UserError, match=said):
        sink.end(complete=True)


def test_a_link_that_appears_is_not_written_through(tmp_path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "out.json").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match=r"out\.json cannot be written"):
        growing(tmp_path / "out.json").write(rows(1))
    assert (tmp_path / "target").read_text() == "kept"


def test_an_object_is_written_when_all_is_done(store):  # noqa: F811 - a fixture
    place = filesystem.of("gs://bucket/out.json")
    sink = growing(place)
    sink.write(rows(1, 2))
    assert not store.names("bucket")
    sink.end(complete=True)
    assert json.loads(filesystem.read_bytes(place))["complete"]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_standard_output_has_each_batch_at_once(name, capsys):
    sink = StandardOutput(formats.create(name, NAMES, "run"), is_needed=True)
    for number in range(3):
        sink.write(rows(number))
        assert f"{number}.png" in capsys.readouterr().out
    sink.end(complete=True)


def test_a_document_without_rows_is_one_too(capsys):
    sink = StandardOutput(formats.create("json", NAMES, "run"), is_needed=True)
    sink.end(complete=True)
    assert json.loads(capsys.readouterr().out)["images"] == []
