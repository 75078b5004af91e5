"""The marker of a remote folder: refused while its holder lives, taken after a kill."""

import json
import threading
import time

import pytest

from ferjax import filesystem
from ferjax.errors import UserError
from ferjax.workdir import lease
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny, watched
from tests.helpers.bucket import _server, store  # noqa: F401 - fixtures

FOLDER = "gs://bucket/run"
MARKER = ("bucket", "run/.lock")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in (("BEAT", 0.05), ("GONE", 0.5), ("POLL", 0.02), ("SETTLE", 0.02)):
        monkeypatch.setattr(lease, f"{name}_SECONDS", seconds)


def claim(folder=FOLDER):
    return RunDirectory(folder).claim(tiny.config("data"))


def left_behind(store, **fields):  # noqa: F811
    fields = {"id": "dead", "host": "tpu-7", "pid": 41, "started": "then", "beat": 3, **fields}
    store.put(MARKER, json.dumps(fields).encode())


def test_a_second_process_is_refused_while_the_first_lives(store, capsys, monkeypatch):  # noqa: F811
    # However long the holder's next beat takes on a busy machine: without one there is no refusal.
    monkeypatch.setattr(lease, "GONE_SECONDS", 600.0)
    directory = RunDirectory(FOLDER)
    with directory.claim(tiny.config("data")):
        assert json.loads(store.objects[MARKER].data)["pid"] > 0
        with pytest.raises(UserError, match=r"gs://bucket/run is in use by process \d+ on .*wait"):
            claim().__enter__()
        assert "waiting up to 600 seconds for a sign of life" in capsys.readouterr().err
        directory.check_held()
    assert MARKER not in store.objects
    with claim():
        pass
    assert capsys.readouterr().err == ""  # nothing to wait for


def test_what_a_kill_left_is_taken(store, capsys):  # noqa: F811
    left_behind(store)
    start = time.monotonic()
    with claim():
        assert time.monotonic() - start >= lease.GONE_SECONDS
        assert json.loads(store.objects[MARKER].data)["id"] != "dead"
    assert "in use by process 41 on tpu-7 (started then)" in capsys.readouterr().err


def test_a_marker_that_goes_away_is_not_waited_for(store, monkeypatch):  # noqa: F811
    monkeypatch.setattr(lease, "GONE_SECONDS", 600.0)  # no busy machine takes so long
    left_behind(store)
    timer = threading.Timer(0.05, lambda: store.objects.pop(MARKER))
    timer.start()
    start = time.monotonic()
    with claim():
        assert time.monotonic() - start < lease.GONE_SECONDS
    timer.join()


def test_a_process_whose_folder_was_taken_saves_nothing_more(store):  # noqa: F811
    directory = RunDirectory(FOLDER)
    with directory.claim(tiny.config("data")):
        directory.check_held()

        def is_lost():
            left_behind(store, id="other")  # again, if a beat has just written over it
            try:
                directory.check_held()
            except UserError as error:
                assert "process 41 on tpu-7 (started then) has taken the workdir" in str(error)
                return True
            return False

        watched.until(is_lost, "a beat that finds the marker of another")
    assert json.loads(store.objects[MARKER].data)["id"] == "other"


def test_a_beat_that_fails_is_made_up_for(store):  # noqa: F811
    def beat():
        return json.loads(store.objects[MARKER].data)["beat"]

    directory = RunDirectory(FOLDER)
    with directory.claim(tiny.config("data")):
        failures = []
        store.fail = lambda method, path: failures.append(path) or 403
        watched.until(lambda: len(failures) > 3, "beats that fail")
        store.fail = None
        before = beat()
        watched.until(lambda: beat() > before, "the next beat")
        directory.check_held()


def test_a_local_folder_has_a_lock_and_no_marker(tmp_path):
    with claim(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_bytes() == b""
    assert not filesystem.is_remote(tmp_path)
