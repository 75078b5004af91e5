"""A run and its data in an object store: trained, stopped, resumed, evaluated, used."""

import json
import shutil

import jax.numpy as jnp
import pytest
from PIL import Image

import ferjax
from ferjax import evaluate
from ferjax.data import catalog, dataset
from ferjax.data.prepare import preparation
from ferjax.errors import Interrupted
from ferjax.training import loop
from ferjax.workdir.checkpoints import Checkpoints
from ferjax.workdir.metrics_log import read_rows
from tests.helpers import tiny
from tests.helpers.bucket import _server, store  # noqa: F401 - fixtures
from tests.helpers.stored import holding

DATA, RUN = "gs://bucket/data", "gs://bucket/runs/one"


def prepared_remotely(data_dir, folder):
    """The shrunk runs' faces as a data set of the user's, prepared in the object store."""
    options = tiny.config(data_dir).dataset.options.to_dict()
    faces = dataset.open_dataset("synthetic", data_dir, **options)
    for split in ("train", "validation", "test"):
        examples = faces.load(split)
        for number, (image, label) in enumerate(zip(examples.images, examples.labels, strict=True)):
            path = folder / split / faces.labels.names[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(path)
    return preparation.prepare(catalog.IMAGE_FOLDER, folder, DATA, name="mine")


def config():
    made = tiny.config(DATA)
    made.dataset.name = "image_folder"
    made.dataset.options = {"name": "mine", "held_out": 0.1, "test_share": 0.1, "split_seed": 0}
    return made


def stop_after_step_three():
    match = rf"after step 3 of 15; everything is saved in {RUN}"
    with tiny.stopped_while_writing(2), pytest.raises(Interrupted, match=match):
        loop.train(config(), RUN)


def rows():
    return [row for _, row in read_rows(f"{RUN}/metrics.jsonl")]


def test_a_whole_run(store, data_dir, tmp_path, run_main, capsys):  # noqa: F811
    """Stopped, resumed, evaluated and used."""
    prepared_remotely(data_dir, tmp_path / "faces")
    shutil.rmtree(tmp_path / "cache")  # another machine
    stop_after_step_three()
    assert "fetching 0 MB from gs://bucket/data/image_folder/mine" in capsys.readouterr().err
    before = rows()
    assert [row["step"] for row in before] == [1, 2, 3]
    assert store.names("bucket", "runs/one/checkpoints/last/3/commit_success.txt")
    assert "runs/one/.lock" not in store.names("bucket")

    result = loop.train(config(), RUN)
    assert f"Resuming {RUN} after step 3." in capsys.readouterr().err
    assert rows()[:3] == before
    assert [row["step"] for row in rows() if row["kind"] == "train"] == list(range(1, 16))
    assert [row["step"] for row in rows() if row["kind"] == "epoch"] == [5, 10, 15]
    stored = json.loads(store.objects["bucket", "runs/one/result.json"].data)
    assert stored["test"] == result["test"]
    events = store.names("bucket", "runs/one/tensorboard/events.out.tfevents.")
    assert [name.split(".")[-3] for name in events] == ["0", "3"]  # one of each start
    assert all(len(store.objects["bucket", name].data) > 500 for name in events)

    assert loop.train(config(), RUN)["test"] == result["test"]  # there is nothing left to do
    capsys.readouterr()
    out = f"{RUN}/report/out.json"
    code, said, error = run_main(evaluate, f"--workdir={RUN}", f"--json={out}")
    assert (code, error) == (0, "") and "Scores on test, best checkpoint" in said
    written = json.loads(store.objects["bucket", "runs/one/report/out.json"].data)
    confusion = written["scores"]["single"]["test"]["confusion"]
    assert confusion == result["test"]["single"]["test"]["confusion"]
    assert ferjax.load(RUN).labels == tuple(result["labels"])


def test_a_checkpoint_that_was_cut_off_does_not_count(store):  # noqa: F811
    checkpoints = Checkpoints(RUN)
    for step in (1, 2):
        checkpoints.save_last(step, holding(jnp.full(3, step)), {}, {"at": step})
    checkpoints.close()
    del store.objects["bucket", "runs/one/checkpoints/last/2/commit_success.txt"]

    checkpoints = Checkpoints(RUN)
    like = holding(jnp.zeros(3, int))
    state, about = checkpoints.restore(like)
    assert (state.weights["x"].tolist(), about.progress["at"]) == ([1, 1, 1], 1)
    checkpoints.save_last(2, holding(jnp.full(3, 7)), {}, {"at": 2})
    checkpoints.wait()
    state, about = checkpoints.restore(like)
    assert (state.weights["x"].tolist(), about.progress["at"]) == ([7, 7, 7], 2)
    checkpoints.close()
