"""A model trained on crops sees crops of that size everywhere else, and its checkpoint says so."""

import dataclasses

import numpy as np
import pytest

from ferjax import filesystem
from ferjax.data import label_maps
from ferjax.errors import UserError
from ferjax.evaluation import cross_dataset, views
from ferjax.evaluation.evaluator import Evaluator
from ferjax.inference.model_spec import ModelSpec
from ferjax.inference.prediction import prediction
from ferjax.inference.trained_model import TrainedModel
from ferjax.training import experiment, trunks
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny


def cropping(data_dir, **overrides):
    # 16 of 18 pixels, as large as the model's input, so that nothing is resized.
    made = tiny.config(data_dir, augment__crop=16 / 18, **overrides)
    made.dataset.options.image_size = 18
    return experiment.build(made)


def as_stored(run):
    """The trained model as a checkpoint of this run says it, with its first weights."""
    spec = ModelSpec.from_json(tiny.as_json(run.spec.to_json()), "here")
    graphdef, _ = spec.abstract(run.mesh)
    weights = run.states.fresh().weights
    return TrainedModel(spec, graphdef, weights, run.mesh, 0, filesystem.of("runs/one"))


def predict(trained, images):
    program = prediction(trained.graphdef, preprocessing=trained.spec.preprocessing)
    return np.asarray(program(trained.weights, np.ascontiguousarray(images)))


@pytest.fixture(scope="module")
def cropped(data_dir):
    run = cropping(data_dir)
    return run, as_stored(run)


def test_training_shows_the_pixels_of_a_crop(data_dir):
    run = cropping(data_dir, augment__shift=0.0, augment__flip=0.0)
    batches = run.training_input()
    batch = next(batches)
    seen = np.asarray(run.input_step(batches.table, batch))
    batches.close()
    assert seen.shape == (16, 16, 16, 1)
    mean, std = 255.0 * run.spec.preprocessing.mean[0], 255.0 * run.spec.preprocessing.std[0]
    places = set()
    for index, image in zip(np.asarray(batch.indices), np.rint(seen * std + mean), strict=True):
        whole = run.data.examples("train").images[index]
        windows = [(y, x) for y in range(3) for x in range(3)]
        matches = [
            (y, x) for y, x in windows if np.array_equal(image, whole[y : y + 16, x : x + 16])
        ]
        assert matches
        places.add(matches[0])
    assert len(places) > 4


def test_prediction_sees_the_centre_as_the_view_single_does(cropped):
    run, trained = cropped
    images = run.data.examples("test").images[:16]
    assert trained.spec == run.spec
    whole = predict(trained, images)
    np.testing.assert_allclose(whole, predict(trained, images[:, 1:17, 1:17]), atol=1e-6)
    other = images.copy()
    other[:, 0] = other[:, -1] = other[:, :, 0] = other[:, :, -1] = 255
    np.testing.assert_allclose(whole, predict(trained, other), atol=1e-6)
    # The evaluation's counts are those of the prediction.
    evaluator = Evaluator(trained.spec, trained.mesh, batch_size=21)
    scores = evaluator.over(run.data, "test", ("single",))(trained.weights)["single"]["test"]
    test = run.data.examples("test")
    predicted = predict(trained, test.images).argmax(axis=1)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (test.labels, predicted), 1)
    assert scores["confusion"] == confusion.tolist()


def test_ten_crop_averages_ten_crops_of_the_size_of_training(cropped):
    run, trained = cropped
    test = run.data.examples("test")
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    seen = [test.images[:, y : y + 16, x : x + 16] for y, x in corners]
    seen += [crop[:, :, ::-1] for crop in seen]
    mean = np.mean([predict(trained, crop) for crop in seen], 0)
    chosen = mean[np.arange(len(mean)), test.labels]
    evaluate = run.evaluator.over(run.data, "test", ("ten_crop",))
    scores = evaluate(trained.weights)["ten_crop"]["test"]
    assert scores["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)


def test_another_data_set_is_scored_on_crops_too(cropped, tmp_path):
    run, trained = cropped
    config = tiny.config(tmp_path)
    config.dataset.options.update(seed=5, image_size=18)
    other = experiment.build(config).data
    found = cross_dataset.score(
        cross_dataset.ScoredModel(trained, run.evaluator, run.data, "validation"),
        other.source,
        "test",
        label_maps.by_emotion(other.source.labels.names, trained.spec.labels),
        ("single",),
    )
    test = other.examples("test")
    predicted = predict(trained, test.images[:, 1:17, 1:17])
    chosen = predicted[np.arange(len(predicted)), test.labels]
    assert found.scores["single"]["test"]["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("scale", "magnified"), [((1.0, 1.0), False), ((0.8, 1.2), True), ((1.0, 1.05), False)]
)
def test_what_training_showed_decides_on_ten_crop_and_travels_with_the_model(
    data_dir, scale, magnified
):
    run = experiment.build(tiny.config(data_dir, augment__scale=scale))
    expected = views.parts("ten_crop", magnified=magnified)
    assert run.evaluator.view_parts("ten_crop") == expected
    again = Evaluator(as_stored(run).spec, run.mesh, batch_size=21)
    assert again.view_parts("ten_crop") == expected
    assert again.view_parts("flip") == views.parts("flip")


def test_an_old_checkpoint_keeps_what_it_had(data_dir):
    """What it says of its model knows of no crops and views."""
    run = experiment.build(tiny.config(data_dir))
    stored = tiny.as_json(run.spec.to_json())
    del stored["has_magnified_crops"], stored["preprocessing"]["crop"]
    spec = ModelSpec.from_json({"format": 3, **stored}, "here")
    assert spec == dataclasses.replace(run.spec, has_magnified_crops=True)


def test_trunks_and_their_fusion_must_see_the_same_crop(data_dir, tmp_path):
    made = tiny.module("attention_fusion").get_config("dataset=synthetic")
    made.augment.crop = 0.9
    with pytest.raises(UserError, match=r"augment\.crop is 0\.9 for the fusion and 1\.0 for its t"):
        trunks.own_runs(made, RunDirectory(tmp_path / "run"))
