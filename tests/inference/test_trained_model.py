"""A model out of a run directory: read-only, weights alone, of this version or an earlier one."""

import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from PIL import Image

import ferjax
from ferjax import predict
from ferjax.errors import UserError
from ferjax.inference import lineage
from ferjax.training import loop
from ferjax.workdir import checkpoint_files
from tests.helpers import stored, tiny

FACES = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)


def snapshot(folder):
    """Everything in a folder: names, contents, times of the last change."""
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else b"",
            path.stat().st_mtime_ns,
        )
        for path in [folder, *folder.rglob("*")]
    }


def test_the_best_checkpoint_alone_is_enough_and_is_left_as_it_is(finished, tmp_path, run_main):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0] / "checkpoints" / "best", workdir / "checkpoints" / "best")
    face = tmp_path / "face.png"
    Image.fromarray(FACES[0]).save(face)
    for path in [workdir, *workdir.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(workdir)
    code, said, error = run_main(predict, f"--workdir={workdir}", str(face))
    assert code == 0, error
    expected = ferjax.load(finished[0])(FACES)
    np.testing.assert_array_equal(ferjax.load(workdir)(FACES).probabilities, expected.probabilities)
    assert expected.names[expected.probabilities[0].argmax()] in said
    assert snapshot(workdir) == before


def test_of_the_last_checkpoint_the_weights_alone_are_read(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    expected = ferjax.load(workdir, checkpoint="last")(FACES).probabilities
    shutil.rmtree(workdir / "checkpoints" / "last" / "15" / "training")
    found = ferjax.load(workdir, checkpoint="last")(FACES).probabilities
    np.testing.assert_array_equal(found, expected)


def test_a_changed_weight_is_refused_instead_of_answered_with_other_probabilities(
    finished, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    (checkpoint,) = (workdir / "checkpoints" / "best").glob("[0-9]*")
    files = [path for path in (checkpoint / "weights").rglob("*") if path.is_file()]
    file = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"best checkpoint of step .* cannot be used .* from a co"):
        ferjax.load(workdir)


def test_the_names_of_scikit_learn(finished):
    classifier = ferjax.load(finished[0])
    probabilities = classifier.predict_proba(FACES)
    assert classifier.classes_.tolist() == list(classifier.labels)
    np.testing.assert_array_equal(probabilities, classifier(FACES).probabilities)
    assert classifier.predict(FACES).tolist() == [
        classifier.labels[index] for index in probabilities.argmax(axis=1)
    ]


def test_a_run_of_format_3_is_used_and_resumed(finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished[0], workdir)
    expected = {kind: ferjax.load(workdir, checkpoint=kind)(FACES) for kind in ("best", "last")}
    stored.to_format_3(workdir)
    for kind, wanted in expected.items():
        found = ferjax.load(workdir, checkpoint=kind)(FACES).probabilities
        np.testing.assert_array_equal(found, wanted.probabilities)
    result = json.loads((workdir / "result.json").read_text())
    os.remove(workdir / "result.json")
    again = tiny.as_json(loop.train(finished[1], str(workdir)))
    for fields in (again, result):
        fields["finished"] = fields["cost"] = None
    assert again == result


def test_of_format_3_the_average_is_what_was_evaluated(tmp_path):
    weights, average = {"kernel": jnp.ones(3)}, {"kernel": jnp.full(3, 2.0)}
    folder = checkpoint_files.folder(tmp_path, "best")
    state = {"step": jnp.int32(1), "weights": weights, "average": average}
    items = {
        "state": ocp.args.StandardSave(state),
        "meta": ocp.args.JsonSave({"format": 3, "labels": ["a", "b"]}),
    }
    with ocp.CheckpointManager(folder) as manager:
        manager.save(1, args=ocp.args.Composite(**items))
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = {"kernel": jax.ShapeDtypeStruct((3,), jnp.float32, sharding=one)}
    found = checkpoint_files.newest(tmp_path, "best")
    assert found.about.spec["labels"] == ["a", "b"] and found.about.step == 1
    assert found.weights(like)["kernel"].tolist() == [2.0, 2.0, 2.0]


def test_the_first_run_on_other_data_is_found_through_all_that_it_goes_back_to():
    first = {"weights": "first", "fingerprint": "f"}
    second = {"weights": "second", "fingerprint": "e", "started_from": [first]}
    assert lineage.first_other("e", [second]) == "first"
    assert lineage.first_other("e", [{**second, "started_from": []}]) == ""
    assert lineage.first_other("e", [{"weights": "file.npz", "sha256": "0"}]) == ""
