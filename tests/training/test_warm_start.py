"""Starting from other weights, and what is said of it."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
from flax import nnx

from ferjax import models
from ferjax.errors import UserError
from ferjax.inference import lineage
from ferjax.inference.trained_model import TrainedModel
from ferjax.models import functional, weights
from ferjax.training import experiment, loop, starting_weights, trunks, warm_start
from ferjax.training.starting_weights import StartingWeights
from ferjax.workdir.directory import RunDirectory
from tests.golden import weights as drawn
from tests.helpers import tiny


def named(run, state):
    return weights.named(functional.merge_model(run.abstract_model[0], state.weights))


def test_a_run_can_start_from_another(finished, data_dir):
    workdir, _, result = finished
    run = experiment.build(tiny.config(data_dir, init_from=str(workdir)))
    said = []
    state, origins = warm_start.initial_state(run, (), report=said.append)
    origin = TrainedModel.load(workdir, config=None)
    expected = weights.named(functional.merge_model(origin.graphdef, origin.weights))
    found = named(run, state)
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
            "departures": result["departures"],
            "started_from": [],
            "loaded": said[0],
            "fresh": [],
        }
    ]


def test_a_file_leaves_the_classifier_fresh(data_dir, tmp_path):
    run = experiment.build(tiny.config(data_dir))
    model = run.model(7)
    arrays = {
        name: array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        for name, array in models.weights.named(model).items()
    }
    path = tmp_path / "weights.npz"
    np.savez(path, **arrays)
    run = experiment.build(tiny.config(data_dir, init_from=str(path)))
    said = []
    state, (origin,) = warm_start.initial_state(run, (), report=said.append)
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    found, fresh = named(run, state), named(run, run.states.fresh())
    np.testing.assert_array_equal(found["fc.weight"], fresh["fc.weight"])
    np.testing.assert_array_equal(
        found["conv1.weight"], arrays["conv1.weight"].transpose(2, 3, 1, 0)
    )
    assert "fc starts afresh: a file does not name its classes" in said[0]
    assert origin["fresh"] == ["fc"]


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
        ({"augment.flip": 2.0}, r"augment\.flip is 2\.0; expected a number"),
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
    run = experiment.build(config)
    model = nnx.eval_shape(run.model)
    nameless = StartingWeights("The weights in X", weights.shapes(model), None, {})
    with pytest.raises(UserError, match=r"X do not fit late fusion, which trains nothing: a file"):
        warm_start.check_start(run, model, nameless)


def source(arrays, run, *earlier, **facts):
    """Weights of a run on the data of `run`, but for `facts`, that goes back to `earlier`."""
    usual = {
        "weights": "RUN",
        "dataset": run.config.dataset.name,
        "fingerprint": run.data.source.fingerprint,
        "options": run.config.dataset.options.to_dict(),
    }
    data = [lineage.TrainedOn(**usual | one) for one in (facts.pop("data", {}), *earlier)]
    usual = {
        "labels": run.spec.labels,
        "preprocessing": run.spec.preprocessing,
        "protocol": "honest",
        "data": tuple(data),
    }
    return StartingWeights(
        "The weights of RUN", arrays, starting_weights.RunFacts(**usual | facts), {}
    )


def test_trunks_from_elsewhere_must_have_seen_the_same(data_dir):
    run = experiment.build(tiny.config(data_dir))
    check = warm_start._check_trunk
    check(run, source({}, run))
    other = dataclasses.replace(run.spec.preprocessing, mean=(0.25,))
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
            check(run, source({}, run, **facts))


def test_what_was_tested_must_not_have_trained_anything_that_a_run_goes_back_to(data_dir):
    run = experiment.build(tiny.config(data_dir))
    between = {"dataset": "fer2013", "fingerprint": "f" * 64, "options": {}}
    first = {"weights": "FIRST", "options": {"fold": 0, "split_seed": 0}}
    warm_start._check_honest(run, source({}, run, {}, data=between))
    for again, message in (
        ({}, r"RUN started from FIRST, which was trained on the same data, split in another way"),
        ({"fingerprint": "e" * 64}, r"FIRST, .* on synthetic that was prepared in another way"),
    ):
        with pytest.raises(UserError, match=message):
            warm_start._check_honest(run, source({}, run, first | again, data=between))
    # Official splits stay what they are.
    same = {"fingerprint": "e" * 64, "options": {"target": "majority"}}
    warm_start._check_honest(run, source({}, run, same, data=between))


def test_the_runs_that_a_run_goes_back_to_are_recorded():
    facts = {"dataset": "ck_plus", "fingerprint": "a", "options": {"fold": 1}}
    file = {"weights": "w.npz", "sha256": "b"}
    origin = {"weights": "second", **facts, "started_from": [file, {"weights": "first", **facts}]}
    found = list(lineage.trained_on(origin))
    assert [one.weights for one in found] == ["second", "first"]
    assert found[1] == ("first", "ck_plus", "a", {"fold": 1})


def test_an_empty_folder_is_no_source(tmp_path):
    with pytest.raises(UserError, match=r"is not a run directory: it has no config\.json"):
        starting_weights.read(str(tmp_path))


def test_an_unfinished_run_is_no_source(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    with pytest.raises(UserError, match=r"is not finished, and its best epoch may still change"):
        starting_weights.read(str(tmp_path / "run"))


def test_tam2021_starts_from_a_vgg19(data_dir):
    config = tiny.module("vgg19_attention").get_config("dataset=synthetic")
    config.dataset.data_dir = str(data_dir)
    config.dataset.options.update(image_size=16, num_train=28, num_validation=7, num_test=7)
    config.model.update(width=8, image_size=32)
    run = experiment.build(config)
    fields = {"num_classes": 1000, "channels": 3, "width": 8, "batch_norm": True}
    vgg = models.create("vgg19", image_size=32, rngs=nnx.Rngs(5), **fields)
    arrays, model = weights.named(vgg), run.model()
    said, fresh = warm_start._start_from(
        model, run, StartingWeights("The weights in X", arrays, None, {})
    )
    assert fresh == ("fc1", "fc2", "spatial")
    assert "fc1, fc2, spatial start afresh: these weights are of a model without such" in said
    assert "normalised by preprocess.normalization=imagenet" in said
    found = weights.named(model)
    for name in found:
        if name.startswith("features."):
            np.testing.assert_array_equal(found[name], arrays[name], err_msg=name)


def plain_resnet_file(folder, **changed):
    """A file as torchvision's: ResNet-18 with the 7x7 stem and 1,000 classes, an eighth as wide."""
    shapes = drawn.resnet_shapes("resnet18", stem="imagenet", attention="none", channels=3, width=8)
    shapes |= {"fc.weight": (1000, 64), "fc.bias": (1000,)}
    arrays = drawn.random_state_dict(shapes, 5) | changed
    np.savez(folder / "resnet18.npz", **arrays)
    return folder / "resnet18.npz", weights.from_torch(arrays)


def with_attention(data_dir, attention, path, **fields):
    made = tiny.config(data_dir, f"attention={attention}", init_from=str(path))
    made.model.update(
        **{"name": "resnet18", "stem": "imagenet", "channels": 3, "image_size": 32, **fields}
    )
    return experiment.build(made)


@pytest.mark.parametrize(
    ("attention", "attribute", "num_arrays"), [("se", "se", 32), ("cbam", "cbam", 72)]
)
def test_attention_starts_afresh_beside_imagenet_weights(
    data_dir, tmp_path, attention, attribute, num_arrays
):
    path, arrays = plain_resnet_file(tmp_path)
    run = with_attention(data_dir, attention, path)
    said = []
    state, (origin,) = warm_start.initial_state(run, (), report=said.append)
    found, fresh = named(run, state), named(run, run.states.fresh())
    gates = {name for name in found if f".{attribute}." in name}
    assert len(gates) == num_arrays
    assert found.keys() - gates == arrays.keys()
    for name, array in found.items():
        is_fresh = name in gates or name.startswith("fc.")
        np.testing.assert_array_equal(array, (fresh if is_fresh else arrays)[name], err_msg=name)
    blocks = [f"layer{stage}.{block}.{attribute}" for stage in range(1, 5) for block in range(2)]
    assert origin["fresh"] == [*blocks, "fc"]
    assert (
        f"; layer1.0.{attribute} ... layer4.1.{attribute} (8 modules) start afresh: these weights "
        "are of a model without such modules; fc starts afresh: a file does not name its classes"
    ) in said[0]


def test_attention_starts_afresh_beside_a_run_without(finished, data_dir):
    """The run's classes are the same, so that its classifier is taken too."""
    run = experiment.build(tiny.config(data_dir, "attention=se", init_from=str(finished[0])))
    model = nnx.eval_shape(run.model)
    source = starting_weights.read(str(finished[0]))
    warm_start.check_start(run, model, source)
    (left,) = warm_start._left_out(run, model, source)
    assert left.modules == tuple(f"layer{stage}.0.se" for stage in range(1, 5))


def test_half_of_the_attention_is_refused(data_dir, tmp_path):
    gate = {"layer1.0.se.fc1.weight": np.zeros((1, 8), np.float32)}
    path, _ = plain_resnet_file(tmp_path, **gate)
    run = with_attention(data_dir, "se", path)
    with pytest.raises(UserError, match=r"\(31 differences\): layer1\.0\.se\.fc1\.bias is missing"):
        warm_start.initial_state(run, (), report=str)


def test_attention_of_another_kind_is_refused(data_dir, tmp_path):
    gate = {"layer1.0.se.fc1.weight": np.zeros((1, 8), np.float32)}
    path, _ = plain_resnet_file(tmp_path, **gate)
    run = with_attention(data_dir, "cbam", path)
    with pytest.raises(UserError, match=r"layer1\.0\.se\.fc1\.weight has no place in the model"):
        warm_start.initial_state(run, (), report=str)


@pytest.mark.parametrize(
    ("fields", "need"),
    [
        ({"channels": 1}, r"need model\.channels=3, to which grey images are replicated"),
        ({"stem": "half"}, r"need model\.stem=imagenet \(the argument stem=\)\."),
        ({"stem": "small", "channels": 1}, r"need model\.stem=imagenet .* and model\.channels=3"),
    ],
)
def test_imagenet_weights_name_the_first_layers_that_they_need(data_dir, tmp_path, fields, need):
    path, _ = plain_resnet_file(tmp_path)
    run = with_attention(data_dir, "cbam", path, **fields)
    with pytest.raises(UserError, match=rf"\(1 differences\): conv1\.weight has shape .*{need}"):
        warm_start.initial_state(run, (), report=str)


def test_gates_of_the_cnn_start_afresh_beside_one_without(data_dir):
    made = tiny.module("se_cnn").get_config("dataset=synthetic")
    made.dataset.data_dir = str(data_dir)
    made.model.update(width=8, image_size=16)
    run = experiment.build(made)
    fields = {**run.spec.model, "attention": "none"}
    plain = nnx.eval_shape(lambda: models.create(**fields, rngs=nnx.Rngs(0)))
    source = StartingWeights("The weights in X", weights.shapes(plain), None, {})
    model = nnx.eval_shape(run.model)
    warm_start.check_start(run, model, source)
    gates, head = warm_start._left_out(run, model, source)
    assert gates.modules == ("blocks.0.se2", "blocks.1.se2", "blocks.2.se2")
    assert head.modules == ("fc2",)
