"""One preprocessing function: channels, size, normalisation, and its trip through JSON."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.data.pipeline import preprocess
from ferjax.data.pipeline.preprocess import Preprocessing, channel_statistics
from ferjax.errors import UserError


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_normalises_by_mean_and_std_of_grey_levels_over_255():
    images = pixels(2, 8, 8, 1)
    out = Preprocessing((8, 8, 1), 8, (0.5,), (0.25,))(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(out, (images / 255.0 - 0.5) / 0.25, atol=1e-5)


def test_grey_is_replicated_for_three_channels():
    images = jnp.asarray(pixels(2, 8, 8, 1), jnp.float32)
    out = Preprocessing((8, 8, 1), 8, (0.0,) * 3, (1.0,) * 3)(images)
    np.testing.assert_allclose(out, np.repeat(images, 3, axis=3) / 255.0, atol=1e-6)


def test_colour_becomes_luma_for_one_channel():
    images = jnp.asarray(pixels(1, 8, 8, 3), jnp.float32)
    out = Preprocessing((8, 8, 3), 8, (0.0,), (1.0,))(images)
    np.testing.assert_allclose(
        out[..., 0], np.asarray(images) @ [0.299, 0.587, 0.114] / 255.0, atol=1e-5
    )


def test_resizing_keeps_a_constant_and_gives_the_size():
    images = jnp.full((1, 20, 30, 1), 51.0)
    out = Preprocessing((20, 30, 1), 8, (0.0,), (1.0,))(images)
    assert out.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(out, 0.2, atol=1e-6)


@pytest.mark.parametrize(("stored", "channels"), [(1, 1), (3, 3), (1, 3), (3, 1)])
def test_statistics_normalise_their_own_images(stored, channels):
    images = pixels(50, 8, 8, stored)
    mean, std = channel_statistics(images, channels)
    out = np.asarray(Preprocessing((8, 8, stored), 8, mean, std)(jnp.asarray(images, jnp.float32)))
    np.testing.assert_allclose(out.mean((0, 1, 2)), 0.0, atol=1e-4)
    np.testing.assert_allclose(out.std((0, 1, 2)), 1.0, atol=1e-4)


def test_survives_json():
    before = Preprocessing((48, 48, 1), 48, (0.5077,), (0.255,))
    assert Preprocessing.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_foreign_fields_are_refused():
    fields = Preprocessing((48, 48, 1), 48, (0.5,), (0.2,)).to_dict() | {"gamma": 3}
    with pytest.raises(UserError, match=r"preprocessing has the fields .*gamma"):
        Preprocessing.from_dict(fields)


def test_a_crop_travels_through_json_and_old_checkpoints_have_none():
    made = Preprocessing((48, 48, 1), 44, (0.5,), (0.2,), crop=(44, 44))
    assert Preprocessing.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    old = made.to_dict()
    del old["crop"]
    assert Preprocessing.from_dict(old) == Preprocessing((48, 48, 1), 44, (0.5,), (0.2,))


def test_the_model_sees_the_centre_of_a_whole_image_and_all_of_a_crop():
    images = jnp.asarray(pixels(2, 9, 12, 1))
    out = Preprocessing((9, 12, 1), 6, (0.0,), (1 / 255,), crop=(6, 6))
    np.testing.assert_allclose(out(images), images[:, 1:7, 3:9], atol=1e-3)
    np.testing.assert_allclose(out(images[:, 3:, 6:]), images[:, 3:, 6:], atol=1e-3)


def test_a_crop_is_a_share_of_the_side_of_the_stored_images():
    def size(share, native_shape=(48, 48, 1)):
        made = preprocess.create(
            "unit",
            native_shape=native_shape,
            image_size=44,
            channels=1,
            crop=share,
            training_images=lambda: pixels(2, 8, 8, 1),
        )
        return made.crop

    assert size(44 / 48) == (44, 44) and size(0.9, (100, 50, 3)) == (90, 45)
    assert size(1.0) is None and size(0.999) is None
    for share, message in ((0.01, "crop is 0.01, which leaves no pixel"), (1.1, r"\(53, 53\) pix")):
        with pytest.raises(UserError, match=message):
            size(share)
    with pytest.raises(UserError, match=r"a crop of \(50, 44\) pixels; expected at least 1"):
        Preprocessing((48, 48, 1), 44, (0.5,), (0.2,), crop=(50, 44))


def test_zero_deviation_is_refused():
    with pytest.raises(UserError, match=r"expected > 0"):
        Preprocessing((8, 8, 1), 8, (0.5,), (0.0,))


def created(normalization, channels):
    return preprocess.create(
        normalization,
        native_shape=(8, 8, 3),
        image_size=8,
        channels=channels,
        training_images=lambda: pixels(50, 8, 8, 3),
    )


def test_imagenet_normalization_is_torchvisions():
    images = pixels(2, 8, 8, 3)
    out = created("imagenet", 3)(jnp.asarray(images, jnp.float32))
    expected = (images / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_caffe_normalization_is_bgr_minus_its_mean_in_grey_levels():
    images = pixels(2, 8, 8, 3)
    out = created("caffe", 3)(jnp.asarray(images, jnp.float32))
    expected = images[..., ::-1].astype(np.float64) - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(out, expected, atol=1e-3)


def test_unit_normalization_is_division_by_255():
    images = pixels(2, 8, 8, 3)
    out = created("unit", 3)(jnp.asarray(images, jnp.float32))
    np.testing.assert_allclose(out, images / 255.0, atol=1e-6)
    assert created("unit", 1).mean == (0.0,)


def test_the_order_of_channels_travels_through_json():
    made = created("caffe", 3)
    assert Preprocessing.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("normalization", "channels", "message"),
    [("imagnet", 3, "'imagnet', which does not exist"), ("imagenet", 1, "is of three channels")],
)
def test_normalizations_that_do_not_fit_are_refused(normalization, channels, message):
    with pytest.raises(ValueError, match=message):
        created(normalization, channels)
