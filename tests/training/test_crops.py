"""A model trained on crops sees crops of that size everywhere else, and its checkpoint says so."""

import json

import numpy as np
import pytest

from ferjax.config import fields
from ferjax.data import label_maps
from ferjax.errors import UserError
from ferjax.evaluation import cross_dataset, views
from ferjax.training import experiment, restored, trunks
from ferjax.workdir.directory import RunDirectory
from tests.helpers import tiny


def parts_of(data_dir, meta=None, **overrides):
    # 16 of 18 pixels, as large as the model's input, so that nothing is resized.
    made = tiny.config(data_dir, augment__crop=16 / 18, **overrides)
    made.dataset.options.image_size = 18
    return experiment.build(made, meta=meta)


def through_json(parts):
    return json.loads(json.dumps(parts.meta()))


@pytest.fixture(scope="module")
def cropped(data_dir):
    parts = parts_of(data_dir)
    return parts, parts.init_state().weights


def test_training_shows_the_pixels_of_a_crop(data_dir):
    parts = parts_of(data_dir, augment__shift=0.0, augment__flip=0.0)
    batches = parts.training_input()
    batch = next(batches)
    seen = np.asarray(parts.input_step(batches.table, batch))
    batches.close()
    assert seen.shape == (16, 16, 16, 1)
    mean, std = 255.0 * parts.preprocessing.mean[0], 255.0 * parts.preprocessing.std[0]
    places = set()
    for index, image in zip(np.asarray(batch.indices), np.rint(seen * std + mean), strict=True):
        whole = parts.examples("train").images[index]
        windows = [(y, x) for y in range(3) for x in range(3)]
        matches = [
            (y, x) for y, x in windows if np.array_equal(image, whole[y : y + 16, x : x + 16])
        ]
        assert matches
        places.add(matches[0])
    assert len(places) > 4


def test_prediction_sees_the_centre_as_the_view_single_does(cropped):
    parts, weights = cropped
    images = parts.examples("test").images[:16]
    again = experiment.build(parts.config, meta=through_json(parts))
    assert again.preprocessing == parts.preprocessing
    whole = again.predict_step(weights, images)
    np.testing.assert_allclose(whole, again.predict_step(weights, images[:, 1:17, 1:17]), atol=1e-6)
    other = images.copy()
    other[:, 0] = other[:, -1] = other[:, :, 0] = other[:, :, -1] = 255
    np.testing.assert_allclose(whole, again.predict_step(weights, other), atol=1e-6)
    # The evaluation's counts are those of the prediction.
    scores = again.evaluation("test", ("single",))(weights)["single"]["test"]
    test = parts.examples("test")
    predicted = np.asarray(again.predict_step(weights, test.images)).argmax(axis=1)
    confusion = np.zeros((7, 7), int)
    np.add.at(confusion, (test.labels, predicted), 1)
    assert scores["confusion"] == confusion.tolist()


def test_ten_crop_averages_ten_crops_of_the_size_of_training(cropped):
    parts, weights = cropped
    test = parts.examples("test")
    corners = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    seen = [test.images[:, y : y + 16, x : x + 16] for y, x in corners]
    seen += [crop[:, :, ::-1] for crop in seen]
    mean = np.mean([parts.predict_step(weights, np.ascontiguousarray(crop)) for crop in seen], 0)
    chosen = mean[np.arange(len(mean)), test.labels]
    scores = parts.evaluation("test", ("ten_crop",))(weights)["ten_crop"]["test"]
    assert scores["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)


def test_another_data_set_is_scored_on_crops_too(cropped, tmp_path):
    parts, weights = cropped
    config = tiny.config(tmp_path)
    config.dataset.options.update(seed=5, image_size=18)
    other = experiment.build(config)
    found = cross_dataset.score(
        restored.scored_model(parts, weights, ("single",)),
        other.source,
        "test",
        label_maps.by_emotion(other.labels, parts.labels),
    )
    test = other.examples("test")
    centers = np.ascontiguousarray(test.images[:, 1:17, 1:17])
    predicted = np.asarray(parts.predict_step(weights, centers))
    chosen = predicted[np.arange(len(predicted)), test.labels]
    assert found.scores["single"]["test"]["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)


@pytest.mark.parametrize(
    ("scale", "magnified"), [((1.0, 1.0), False), ((0.8, 1.2), True), ((1.0, 1.05), False)]
)
def test_what_training_showed_decides_on_ten_crop_and_travels_with_the_model(
    data_dir, scale, magnified
):
    parts = experiment.build(tiny.config(data_dir, augment__scale=scale))
    expected = views.parts("ten_crop", magnified=magnified)
    assert parts.view_parts("ten_crop") == expected
    # The config of who uses the checkpoint has no say.
    again = experiment.build(tiny.config(data_dir), meta=through_json(parts))
    assert again.view_parts("ten_crop") == expected
    assert parts.view_parts("flip") == views.parts("flip")


def test_an_old_checkpoint_keeps_what_it_had(data_dir):
    """Neither its meta object nor its config.json knows of crops, scales and views."""
    parts = experiment.build(tiny.config(data_dir))
    meta = through_json(parts)
    del meta["has_magnified_crops"], meta["preprocessing"]["crop"]
    old = tiny.config(data_dir)
    for name in ("scale", "crop", "brightness", "contrast", "jitter_probability", "mixup"):
        del old.augment[name]
    used = experiment.build(fields.completed(old), meta=meta)
    assert used.preprocessing == parts.preprocessing
    assert used.view_parts("ten_crop") == views.parts("ten_crop", magnified=True)
    weights, images = parts.init_state().weights, parts.examples("test").images[:1]
    np.testing.assert_array_equal(
        used.predict_step(weights, images), parts.predict_step(weights, images)
    )


def test_trunks_and_their_fusion_must_see_the_same_crop(data_dir, tmp_path):
    made = tiny.module("attention_fusion").get_config("dataset=synthetic")
    made.augment.crop = 0.9
    with pytest.raises(UserError, match=r"augment\.crop is 0\.9 for the fusion and 1\.0 for its t"):
        trunks.own_runs(made, RunDirectory(tmp_path / "run"))
