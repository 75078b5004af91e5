"""Fusion in stages: trunks alone, then the fusion; reused, frozen, and late fusion untrained."""

import json

import numpy as np
import pytest

import ferjax
from ferjax import models
from ferjax.data.pipeline.batches import TrainingInput
from ferjax.errors import UserError
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional, resnet, vgg
from ferjax.training import loop
from ferjax.workdir.checkpoints import Checkpoints
from tests.helpers import tiny

TRUNKS = ("resnet10", "vgg11")


@pytest.fixture(scope="module", autouse=True)
def shallow():
    """The first and the last stage of each trunk alone: a few layers compile within seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(resnet.STAGE_SIZES, "resnet10", (1, 0, 0, 1))
        patch.setitem(vgg.LAYOUTS, "vgg11", ((64,), (512,)))
        yield


def config(data_dir, argument):
    """A row of configs/attention_fusion.py on a few small faces; every stage is shrunk."""
    made = tiny.module("attention_fusion").get_config(
        f"dataset=synthetic,trunks=resnet18+vgg11,{argument}"
    )
    made.model.trunks = TRUNKS
    if made.stages:
        made.stages = {"resnet10": made.stages.resnet18, "vgg11": made.stages.vgg11}
        made.stages.resnet10.model.name = "resnet10"
    for stage in (made, *made.stages.values()):
        stage.dataset.data_dir = str(data_dir)
        stage.dataset.options.update(
            image_size=32, num_train=56, num_validation=21, num_test=21, seed=3
        )
        stage.model.update(width=8, image_size=32)
        stage.train.update(batch_size=28, num_epochs=1)
        stage.evaluation.batch_size = 21
    return made


def weights_of(workdir):
    trained = TrainedModel.load(workdir, config=None)
    return models.weights.named(functional.merge_model(trained.graphdef, trained.weights))


@pytest.fixture(scope="module")
def fused(shallow, data_dir, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("fusion") / "run"
    return workdir, loop.train(config(data_dir, "stem=half"), str(workdir))


def test_one_command_trains_the_row(fused):
    workdir, result = fused
    assert result["num_steps"] == 2 and result["paper"] == "tran2023"
    for origin, name in zip(result["started_from"], TRUNKS, strict=True):
        assert origin["weights"] == str(workdir / "trunks" / name)
        assert origin["fingerprint"] == result["fingerprint"] and origin["epoch"] == 1
    for name in TRUNKS:
        trunk = json.loads((workdir / "trunks" / name / "result.json").read_text())
        assert trunk["num_steps"] == 2 and trunk["fingerprint"] == result["fingerprint"]


def test_frozen_trunks_are_bit_identical(fused):
    workdir, _ = fused
    fusion = weights_of(workdir)
    for index, name in enumerate(TRUNKS, start=1):
        trunk = weights_of(workdir / "trunks" / name)
        shared = {key for key in trunk if not key.startswith(("fc.", "classifier."))}
        assert shared
        for key in shared:
            np.testing.assert_array_equal(fusion[f"trunk{index}.{key}"], trunk[key], err_msg=key)


def test_a_row_that_is_stopped_anywhere_ends_the_same(fused, data_dir, tmp_path, monkeypatch):
    """Stopped within the second trunk and again within the fusion: two steps each."""
    taken, deliver = [], TrainingInput.__next__

    def stop_at(number):
        def deliver_until(batches):
            taken.append(number)
            if len(taken) == number:
                raise KeyboardInterrupt
            return deliver(batches)

        taken.clear()
        monkeypatch.setattr(TrainingInput, "__next__", deliver_until)

    save = Checkpoints.save_last

    def save_and_wait(checkpoints, *arguments):
        save(checkpoints, *arguments)
        checkpoints.wait()

    monkeypatch.setattr(Checkpoints, "save_last", save_and_wait)
    row = config(data_dir, "stem=half")
    for stage in (row, *row.stages.values()):
        stage.train.checkpoint_every_steps = 1
    # The second step of the second trunk, then that of the fusion.
    for number in (4, 3):
        stop_at(number)
        with pytest.raises(KeyboardInterrupt):
            loop.train(row, str(tmp_path))
    stop_at(None)
    loop.train(row, str(tmp_path))
    assert len(taken) == 1
    found, expected = weights_of(tmp_path), weights_of(fused[0])
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_other_fusions_reuse_the_trunks(fused, data_dir, tmp_path):
    workdir, _ = fused
    paths = "+".join(str(workdir / "trunks" / name) for name in TRUNKS)
    late_config = config(data_dir, f"stem=half,fusion=late,trunks_from={paths}")
    late = loop.train(late_config, str(tmp_path / "late"))
    assert late["num_steps"] == 0 and late["cost"]["images_per_second"] == 0.0
    assert late["training"] is None
    # What it began with is also what it ended with.
    late = loop.train(late_config, str(tmp_path / "late"), report_last=True)
    stored = {"temperature", "predictions"}
    assert set(late["last"]) == {"epoch", "step", *stored}
    assert (late["last"]["epoch"], late["last"]["step"]) == (0, 0)
    assert late["last"]["temperature"] == late["temperature"]
    assert late["test_last"] == late["test"]
    assert not (tmp_path / "late" / "trunks").exists()
    swapped = "+".join(reversed(paths.split("+")))
    with pytest.raises(UserError, match=r"do not fit the model \(.* differences\)"):
        loop.train(
            config(data_dir, f"stem=half,fusion=early,trunks_from={swapped}"), str(tmp_path / "no")
        )


def test_a_fusion_can_start_from_another(fused, data_dir, tmp_path):
    row = config(data_dir, f"stem=half,init_from={fused[0]}")
    assert not row.stages
    row.optimizer.learning_rate = 0.0
    result = loop.train(row, str(tmp_path / "again"))
    (origin,) = result["started_from"]
    assert origin["weights"] == str(fused[0]) and origin["epoch"] == 1
    found, expected = weights_of(tmp_path / "again"), weights_of(fused[0])
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_late_fusion_is_the_mean_of_the_trunks(fused, data_dir, tmp_path):
    workdir, _ = fused
    paths = [workdir / "trunks" / name for name in TRUNKS]
    joined = "+".join(map(str, paths))
    loop.train(config(data_dir, f"stem=half,fusion=late,trunks_from={joined}"), str(tmp_path / "l"))
    faces = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), dtype=np.uint8)
    single = [ferjax.load(path).predict_arrays(faces).probabilities for path in paths]
    fused_rows = ferjax.load(tmp_path / "l").predict_arrays(faces).probabilities
    np.testing.assert_allclose(fused_rows, (single[0] + single[1]) / 2, atol=1e-5)


def test_a_model_that_sees_the_batch_cannot_predict(fused, data_dir, tmp_path):
    workdir, _ = fused
    paths = "+".join(str(workdir / "trunks" / name) for name in TRUNKS)
    argument = f"stem=half,tokens=batch,trunks_from={paths}"
    loop.train(config(data_dir, argument), str(tmp_path / "batch"))
    with pytest.raises(UserError, match=r"tokens=batch.*depends on the other images"):
        ferjax.load(tmp_path / "batch")
