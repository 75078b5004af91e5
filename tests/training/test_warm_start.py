"""Starting from other weights, and what is said of it."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.errors import UserError
from ferjax.models import functional, weights
from ferjax.training import experiment, loop, restored, trunks, warm_start
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny


def named(parts, state):
    return weights.named(functional.merge_model(parts.graphdef, state.weights))


def test_a_run_can_start_from_another(finished, data_dir):
    workdir, _, result = finished
    parts = experiment.build(tiny.config(data_dir, init_from=str(workdir)))
    said = []
    state, origins = warm_start.initial_state(parts, (), report=said.append)
    origin, best, _ = restored.restore(workdir)
    expected = weights.named(functional.merge_model(origin.graphdef, best))
    found = named(parts, state)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert int(state.step) == 0
    assert said == [f"The weights of {workdir}: {len(expected)} arrays."]
    assert origins == [
        {
            "weights": str(workdir),
            "dataset": "synthetic",
            "fingerprint": result["fingerprint"],
            "options": result["options"],
            "protocol": "honest",
            "seed": 0,
            "epoch": result["selection"]["epoch"],
            "started_from": [],
            "loaded": said[0],
        }
    ]


def test_a_file_leaves_the_classifier_fresh(data_dir, tmp_path):
    parts = experiment.build(tiny.config(data_dir))
    model = parts.model(7)
    arrays = {
        name: array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        for name, array in models.weights.named(model).items()
    }
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    parts = experiment.build(tiny.config(data_dir, init_from=str(path)))
    said = []
    state, (origin,) = warm_start.initial_state(parts, (), report=said.append)
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    found, fresh = named(parts, state), named(parts, parts.init_state())
    np.testing.assert_array_equal(found["fc.weight"], fresh["fc.weight"])
    np.testing.assert_array_equal(
        found["conv1.weight"], arrays["conv1.weight"].transpose(2, 3, 1, 0)
    )
    assert "fc.bias, fc.weight start afresh: a file does not name its classes" in said[0]


def test_a_trunk_is_not_used_twice(tmp_path):
    config = tiny.module("attention_fusion").get_config("trunks=vgg11+vgg11")
    with pytest.raises(UserError, match=r"vgg11\+vgg11, and a run trains .*trunks_from=DIR\+DIR"):
        trunks.own_runs(config, RunDirectory(tmp_path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model.image_size": 64}, r"model\.image_size is 64 for the fusion and 48 for its trunk"),
        ({"model.tokens": "spcae"}, r"tokens is 'spcae'; expected one of space"),
        ({"init_from": "."}, r"init_from is \., but this run starts from its trunks"),
        ({"stages.vgg11.init_from": "gone.npz"}, r"There are no weights at gone\.npz"),
        ({"stages.vgg11.init_from": __file__}, r"test_warm_start\.py is of no known kind"),
        ({"stages.resnet18.optimizer.name": "radm"}, r"optimizer\.name is 'radm'.*'radam'"),
        ({"stages.resnet18.train.batch_size": 56}, r"batch_size is 56, but the training split has"),
        (
            {"stages.resnet18.model.attention": "se"},
            r"trunks/resnet18 is to make do not fit th",
        ),
        (
            {"stages.resnet18.protocol.name": "paper"},
            r"resnet18 is to make would be selected",
        ),
        ({"augment.flip": 2.0}, r"augment\.flip is 2\.0; a probability"),
        ({"train.batch_size": 56}, r"batch_size is 56, but the training split has only 28"),
    ],
)
def test_a_fusion_is_checked_before_its_trunks_are_trained(data_dir, tmp_path, fields, message):
    config = tiny.module("attention_fusion").get_config("dataset=synthetic,trunks=vgg11+resnet18")
    for made in (config, *config.stages.values()):
        made.dataset.data_dir = str(data_dir)
        made.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
        made.train.batch_size = 28
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match=message):
        loop.train(config, str(tmp_path))
    assert not (tmp_path / "trunks").exists()


def test_trunks_see_the_part_of_the_data_that_their_fusion_sees(data_dir, tmp_path):
    config = tiny.module("attention_fusion").get_config("dataset=synthetic,trunks=vgg11+resnet18")
    config.dataset.options.seed = 1
    assert config.stages.vgg11.dataset.options.seed == 1
    # A config of somebody else's may give a trunk options of its own.
    config.stages.vgg11.dataset.options = {**config.dataset.options.to_dict(), "seed": 2}
    with pytest.raises(UserError, match=r"options\.seed is 1 for the fusion and 2 for its trunk"):
        loop.train(config, str(tmp_path))


def test_what_was_refused_can_be_put_right_in_the_same_folder(finished, data_dir, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(UserError, match=r"There are no weights at gone\.npz"):
        loop.train(tiny.config(data_dir, init_from="gone.npz"), str(workdir))
    right = tiny.config(data_dir, init_from=str(finished[0]))
    with RunDirectory(workdir).claim(right):
        assert RunDirectory(workdir).config().init_from == str(finished[0])


def test_late_fusion_trains_no_new_classifier(data_dir):
    config = tiny.module("attention_fusion").get_config(
        "dataset=synthetic,fusion=late,trunks=vgg11+resnet18,init_from=weights.npz"
    )
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
    parts = experiment.build(config)
    model = nnx.eval_shape(parts.model)
    nameless = warm_start.Source("The weights in X", weights.shapes(model), None, {})
    with pytest.raises(UserError, match=r"X do not fit late fusion, which trains nothing: a file"):
        warm_start.check_start(parts, model, nameless)


def source(arrays, parts, *earlier, **facts):
    """Weights of a run on the data of `parts`, but for `facts`, that goes back to `earlier`."""
    usual = {
        "weights": "RUN",
        "dataset": parts.config.dataset.name,
        "fingerprint": parts.source.fingerprint,
        "options": parts.config.dataset.options.to_dict(),
    }
    data = [warm_start.TrainedOn(**usual | one) for one in (facts.pop("data", {}), *earlier)]
    usual = {
        "labels": parts.labels,
        "preprocessing": parts.preprocessing,
        "protocol": "honest",
        "data": tuple(data),
    }
    return warm_start.Source("The weights of RUN", arrays, warm_start.RunFacts(**usual | facts), {})


def test_trunks_from_elsewhere_must_have_seen_the_same(data_dir):
    parts = experiment.build(tiny.config(data_dir))
    check = warm_start._check_trunk
    check(parts, source({}, parts))
    other = dataclasses.replace(parts.preprocessing, mean=(0.25,))
    for facts, message in (
        ({"preprocessing": other}, r"were trained with .*mean=\(0\.25,\).*this run prepares"),
        (
            {"data": {"fingerprint": "f" * 64}},
            r"on data with fingerprint ffffffffffff, and this run's",
        ),
        (
            {"data": {"options": {"fold": 3}}},
            r"same data, split in another way \(fold=3; here channels=1",
        ),
        ({"protocol": "optimistic"}, r"RUN were selected by an optimistic protocol"),
    ):
        with pytest.raises(UserError, match=message):
            check(parts, source({}, parts, **facts))


def test_what_was_tested_must_not_have_trained_anything_that_a_run_goes_back_to(data_dir):
    parts = experiment.build(tiny.config(data_dir))
    between = {"dataset": "fer2013", "fingerprint": "f" * 64, "options": {}}
    first = {"weights": "FIRST", "options": {"fold": 0, "split_seed": 0}}
    warm_start._check_honest(parts, source({}, parts, {}, data=between))
    for again, message in (
        ({}, r"RUN go back to FIRST, which was trained on the same data, split in another way"),
        ({"fingerprint": "e" * 64}, r"FIRST, .* on synthetic that was prepared in another way"),
    ):
        with pytest.raises(UserError, match=message):
            warm_start._check_honest(parts, source({}, parts, first | again, data=between))
    # Official splits stay what they are.
    same = {"fingerprint": "e" * 64, "options": {"target": "majority"}}
    warm_start._check_honest(parts, source({}, parts, same, data=between))


def test_the_runs_that_a_run_goes_back_to_are_recorded():
    facts = {"dataset": "ck_plus", "fingerprint": "a", "options": {"fold": 1}}
    file = {"weights": "w.npz", "sha256": "b"}
    origin = {"weights": "second", **facts, "started_from": [file, {"weights": "first", **facts}]}
    found = list(warm_start._trained_on(origin))
    assert [one.weights for one in found] == ["second", "first"]
    assert found[1] == ("first", "ck_plus", "a", {"fold": 1})


def test_an_unfinished_run_is_no_source(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match=r"is not finished, and its best epoch may still change"):
        warm_start.read(str(tmp_path / "run"))


def test_tam2021_starts_from_a_vgg19(data_dir):
    config = tiny.module("vgg19_attention").get_config("dataset=synthetic")
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
    config.model.update(width=8, image_size=32)
    parts = experiment.build(config)
    fields = {"num_classes": 1000, "channels": 3, "width": 8, "batch_norm": True}
    vgg = models.create("vgg19", image_size=32, rngs=nnx.Rngs(5), **fields)
    arrays, model = weights.named(vgg), parts.model()
    said = warm_start._start_from(
        model, parts, warm_start.Source("The weights in X", arrays, None, {})
    )
    assert "fc1.bias, fc1.weight, fc2.bias, fc2.weight, spatial.weight start afresh" in said
    assert "normalised by preprocess.normalization=imagenet" in said
    found = weights.named(model)
    for name in found:
        if name.startswith("features."):
            np.testing.assert_array_equal(found[name], arrays[name], err_msg=name)
