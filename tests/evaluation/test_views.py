"""Test-time views."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.evaluation import views

# Where the five crops of 44 of 48 pixels begin.
CORNERS = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]


def images(size=48):
    return jnp.asarray(np.random.default_rng(0).random((2, size, size, 1)), jnp.float32)


def shown(batch, name, **trained):
    return np.stack([views.show(batch, part) for part in views.parts(name, **trained)])


def test_single_and_flip():
    batch = images()
    np.testing.assert_array_equal(shown(batch, "single"), batch[None])
    np.testing.assert_array_equal(shown(batch, "flip"), np.stack([batch, batch[:, :, ::-1]]))


def test_magnified_crops_are_five_of_44_pixels_and_their_mirrors(monkeypatch):
    # Padding instead of resizing back, so that a crop can be compared with its pixels.
    pads = ((0, 0), (0, 4), (0, 4), (0, 0))
    monkeypatch.setattr(views.jax.image, "resize", lambda crop, *_: jnp.pad(crop, pads))
    batch = images()
    out = shown(batch, "ten_crop", magnified=True)
    for crop, (top, left) in zip(out, CORNERS, strict=False):
        np.testing.assert_array_equal(crop[:, :44, :44], batch[:, top : top + 44, left : left + 44])
    np.testing.assert_array_equal(out[5:], out[:5, :, :, ::-1])


def test_magnified_crops_are_resized_back():
    assert shown(images(), "ten_crop", magnified=True).shape == (10, 2, 48, 48, 1)


def test_without_a_scale_that_training_showed_the_image_is_moved_instead():
    """A crop lies in the middle of the image, at scale 1; around it the edges are repeated."""
    batch = images()
    out = shown(batch, "ten_crop")
    assert out.shape == (10, 2, 48, 48, 1)
    padded = np.pad(batch, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    for moved, (top, left) in zip(out, CORNERS, strict=False):
        np.testing.assert_array_equal(
            moved[:, 2:46, 2:46], batch[:, top : top + 44, left : left + 44]
        )
        np.testing.assert_array_equal(moved, padded[:, top : top + 48, left : left + 48])
    np.testing.assert_array_equal(out[5:], out[:5, :, :, ::-1])


@pytest.mark.parametrize(("size", "reach"), [(16, 1), (48, 2), (100, 4), (224, 9)])
def test_images_are_moved_by_a_twentyfourth_of_their_side(size, reach):
    batch = images(size)
    first = shown(batch, "ten_crop")[0]
    np.testing.assert_array_equal(first[:, reach:, reach:], batch[:, :-reach, :-reach])


def test_a_model_trained_on_crops_sees_crops_of_that_size_in_every_view():
    batch = images()
    center = batch[:, 4:44, 4:44]
    np.testing.assert_array_equal(shown(batch, "single", crop=(40, 40)), center[None])
    np.testing.assert_array_equal(
        shown(batch, "flip", crop=(40, 40)), np.stack([center, center[:, :, ::-1]])
    )
    out = shown(batch, "ten_crop", crop=(40, 40), magnified=True)
    for crop, (top, left) in zip(out, [(0, 0), (0, 8), (8, 0), (8, 8), (4, 4)], strict=False):
        np.testing.assert_array_equal(crop, batch[:, top : top + 40, left : left + 40])
    np.testing.assert_array_equal(out[5:], out[:5, :, :, ::-1])


def test_what_views_share_is_one_part():
    """So that it is computed once: ten images for all views, unless crops are magnified."""
    for trained, number in (({}, 10), ({"crop": (40, 40)}, 10), ({"magnified": True}, 12)):
        parts = {part for name in views.NAMES for part in views.parts(name, **trained)}
        assert len(parts) == number, trained


@pytest.mark.parametrize(
    ("scale", "magnified"),
    [((1.0, 1.0), False), ((0.8, 1.2), True), ((1.0, 1.05), False), ((1.1, 1.3), False)],
)
def test_crops_are_magnified_where_training_showed_that_scale(scale, magnified):
    assert views.magnified(scale) is magnified


def test_unknown_view_is_refused():
    with pytest.raises(UserError, match=r"The view is 'flop'; expected .*Did you mean 'flip'"):
        views.parts("flop")
