"""Files here and in an object store: whole, refused with a reason, and never in a folder `gs:`."""

import importlib.util
import io
import time

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import filesystem, local_files, object_store
from ferjax.errors import FolderLost, SaveFailed, UserError
from ferjax.training import starting_weights, trunks
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.directory import RunDirectory
from ferjax.workdir.metrics_log import JsonlLog, read_rows
from ferjax.workdir.writer import Writer
from tests.helpers import tiny
from tests.helpers.bucket import _server, store  # noqa: F401 - fixtures
from tests.helpers.stored import holding


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("gs:/bucket/run", r"gs:/bucket/run is neither .*expected a path, or gs://BUCKET/PATH"),
        ("s3://bucket/run", r"s3://bucket/run is neither a local path nor one of Google Cloud"),
        ("gs://", r"gs:// names no bucket; expected gs://BUCKET/PATH"),
    ],
)
def test_what_is_no_place_is_refused(path, message):
    with pytest.raises(UserError, match=message):
        filesystem.of(path)


def test_without_gcsfs_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need gcsfs.*pip install 'ferjax\[gcs\]'"):
        RunDirectory("gs://bucket/run")
    assert filesystem.of("run").parts == ("run",)


def test_a_file_is_written_read_created_once_and_removed(store):  # noqa: F811
    file = filesystem.of("gs://bucket/a b/100%.json")
    assert not filesystem.exists(file) and not filesystem.is_folder(file.parent)
    with pytest.raises(FileNotFoundError):
        filesystem.read_bytes(file)
    filesystem.write(file, b"one")
    filesystem.write(file, b"two")
    assert filesystem.read_bytes(file) == b"two" == store.objects["bucket", "a b/100%.json"].data
    assert filesystem.exists(file) and filesystem.is_folder(file.parent)
    assert filesystem.sizes(file.parent) == {"100%.json": 3}
    assert not filesystem.create(file, b"three") and filesystem.read_bytes(file) == b"two"
    filesystem.remove(file)
    filesystem.remove(file)
    assert filesystem.create(file, b"three") and filesystem.sizes(file.parent) == {"100%.json": 5}


def test_what_another_library_writes_is_seen_at_once(store):  # noqa: F811
    """Orbax writes arrays past gcsfs, which by default remembers its listings for ever."""
    folder = filesystem.of("gs://bucket/run")
    store.put(("bucket", "run/1"), b"")
    assert filesystem.sizes(folder) == {"1": 0}
    store.put(("bucket", "run/2"), b"")
    assert filesystem.sizes(folder) == {"1": 0, "2": 0}
    assert filesystem.exists(folder / "2")
    assert [path.name for path in folder.iterdir()] == ["1", "2"]


def test_a_tilde_is_a_home_folder_everywhere(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert filesystem.of("~/runs/a") == tmp_path / "runs" / "a"
    assert filesystem.local("~/a.png", "an image") == tmp_path / "a.png"
    with pytest.raises(UserError, match=r"no home folder ~nobody_here here; write \./~nobody_here"):
        filesystem.of("~nobody_here/runs")


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(UserError, match=r"'a\\x00b' has a NUL character"):
        filesystem.of("a\0b")
    for check in (local_files.check_kind, local_files.check_folder, local_files.read):
        with pytest.raises(OSError, match="its name has a NUL character"):
            check("a\0b")


def test_nothing_is_written_into_a_folder_that_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="lies in what this command reads; name another file"):
        filesystem.check_output("--json", f"{tmp_path}/data/new.json", [tmp_path / "data"])
    filesystem.check_output("--json", f"{tmp_path}/new.json", [tmp_path / "data", tmp_path / "x"])


def test_what_is_waited_for_is_said(monkeypatch, capsys):
    monkeypatch.setattr(object_store, "SLOW_SECONDS", 0.01)
    with object_store.asked("gs://bucket/a\x1b"):
        time.sleep(0.2)
    assert capsys.readouterr().err == "waiting for gs://bucket/a\\x1b\n"
    monkeypatch.setattr(object_store, "SLOW_SECONDS", 60)
    with object_store.asked("gs://bucket/a"):
        pass
    assert capsys.readouterr().err == ""


def test_what_the_store_refuses_is_an_oserror(store):  # noqa: F811
    file = filesystem.of("gs://bucket/a")
    for status in (401, 403):
        store.fail = lambda method, path, status=status: status
        for act in (filesystem.read_bytes, filesystem.exists, filesystem.sizes, filesystem.remove):
            with pytest.raises(OSError, match=r"made to fail|Forbidden"):
                act(file)
        with pytest.raises(OSError, match=r"made to fail|Forbidden"):
            filesystem.write(file, b"")


def test_a_workdir_that_cannot_be_written_is_refused(store, tmp_path):  # noqa: F811
    store.fail = lambda method, path: 403 if method == "POST" else None
    with (
        pytest.raises(UserError, match=r"gs://bucket/run cannot be written \(Forbidden.*bucket"),
        RunDirectory("gs://bucket/run").claim(tiny.config(tmp_path)),
    ):
        pass
    store.fail = lambda method, path: 403
    with pytest.raises(UserError, match=r"gs://bucket/run/config\.json cannot be read \(Forbidden"):
        RunDirectory("gs://bucket/run").config()


def test_a_remote_run_belongs_to_one_config(store, tmp_path):  # noqa: F811
    def claim(**overrides):
        with RunDirectory("gs://bucket/run").claim(tiny.config(tmp_path, **overrides)):
            pass

    claim()
    claim(optimizer__learning_rate=0.5)  # nothing is there to resume
    assert not RunDirectory("gs://bucket/run").has_checkpoint
    store.put(("bucket", "run/checkpoints/best/5/commit_success.txt"), b"")
    with pytest.raises(
        UserError, match=r"rate is 0\.5 there and 0\.02 here\. Name another workdir"
    ):
        claim()
    del store.objects["bucket", "run/config.json"]
    with pytest.raises(UserError, match=r"gs://bucket/run holds checkpoints but no config\.json"):
        claim()


def test_weights_to_start_from_may_be_remote(store, data_dir, tmp_path):  # noqa: F811
    np.savez(tmp_path / "w.npz", **{"fc.weight": np.ones((7, 64), np.float32)})
    filesystem.put(tmp_path / "w.npz", filesystem.of("gs://bucket/w.npz"))
    source = starting_weights.read("gs://bucket/w.npz")
    assert source.identity["weights"] == "gs://bucket/w.npz" and source.title.endswith("/w.npz")
    np.testing.assert_array_equal(source.arrays["fc.weight"], np.ones((64, 7)))
    with pytest.raises(UserError, match=r"There are no weights at gs://bucket/gone\.npz"):
        trunks.own_runs(tiny.config(data_dir, init_from="gs://bucket/gone.npz"), RunDirectory("a"))


def test_rows_are_put_at_each_flush_and_those_of_later_steps_dropped(store):  # noqa: F811
    path = "gs://bucket/run/metrics.jsonl"

    def steps():
        return [row["step"] for _, row in read_rows(path)]

    log = JsonlLog(path)
    for step in (1, 2, 3):
        log.write({"kind": "train", "step": step})
    assert steps() == []
    log.flush()
    assert steps() == [1, 2, 3]
    puts = [request for request in store.requests if request[0] == "POST"]
    log.flush()
    assert [request for request in store.requests if request[0] == "POST"] == puts
    store.fail = lambda method, path: 403 if method == "POST" else None
    log.write({"kind": "train", "step": 4})
    with pytest.raises(OSError, match="Forbidden"):
        log.flush()
    store.fail = None
    log.close()
    assert steps() == [1, 2, 3, 4] and not log._local.exists()

    log = JsonlLog(path, resume_step=2)
    assert steps() == [1, 2]
    log.write({"kind": "train", "step": 3})
    assert [row["step"] for row in log.rows("train", after_step=1)] == [2, 3]
    log.close()
    assert steps() == [1, 2, 3]


def test_a_flush_puts_rows_and_events(store):  # noqa: F811
    sizes = {"steps_per_epoch": 5, "num_epochs": 1, "batch_size": 16}
    with Writer("gs://bucket/run", resume_step=0, stream=io.StringIO(), **sizes) as writer:
        writer.write_step(1, {"loss": 0.5})
        writer.flush()
        events, rows = store.names("bucket", "run/tensorboard/"), ("bucket", "run/metrics.jsonl")
        first = {name: len(store.objects["bucket", name].data) for name in events}
        assert len(events) == 1 and store.objects[rows].data.count(b"\n") == 1
        writer.write_step(2, {"loss": 0.25})
        writer.flush()
        assert store.objects[rows].data.count(b"\n") == 2
        assert all(len(store.objects["bucket", name].data) > size for name, size in first.items())


def test_what_another_process_wrote_stays_when_the_folder_is_lost(store):  # noqa: F811
    sizes = {"steps_per_epoch": 5, "num_epochs": 1, "batch_size": 16}
    rows = ("bucket", "run/metrics.jsonl")
    with (
        pytest.raises(FolderLost),
        Writer("gs://bucket/run", resume_step=0, stream=io.StringIO(), **sizes) as writer,
    ):
        writer.write_step(1, {"loss": 0.5})
        store.put(rows, b"of the other\n")
        raise FolderLost("taken")
    assert store.objects[rows].data == b"of the other\n"
    assert not writer._events._growing.local.exists()


def test_a_checkpoint_that_the_store_does_not_take_is_reported(store):  # noqa: F811
    checkpoints = Checkpoints("gs://bucket/run")
    checkpoints.save_last(1, holding(jnp.ones(3)), {}, {})
    checkpoints.wait()
    store.fail = lambda method, path: 400  # for which gcsfs has an exception of its own
    with pytest.raises(SaveFailed, match=r"The last checkpoint of step 2 cannot be saved in gs://"):
        checkpoints.save_last(2, holding(jnp.ones(3)), {}, {})
        checkpoints.wait()
    store.fail = None
    state, _ = checkpoints.restore(holding(jnp.zeros(3)))
    assert state.weights["x"].tolist() == [1, 1, 1]
    checkpoints.close()
