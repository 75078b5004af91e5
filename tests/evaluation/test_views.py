"""Test-time views."""

import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.evaluation import views


def images():
    return jnp.asarray(np.random.default_rng(0).random((2, 48, 48, 1)), jnp.float32)


def shown(batch, name):
    return np.stack([views.show(batch, part) for part in views.parts(name)])


def test_single_and_flip():
    batch = images()
    np.testing.assert_array_equal(shown(batch, "single"), batch[None])
    np.testing.assert_array_equal(shown(batch, "flip"), np.stack([batch, batch[:, :, ::-1]]))


def test_ten_crop_has_five_crops_of_44_pixels_and_their_mirrors(monkeypatch):
    # Padding instead of resizing back, so that a crop can be compared with its pixels.
    pads = ((0, 0), (0, 4), (0, 4), (0, 0))
    monkeypatch.setattr(views.jax.image, "resize", lambda crop, *_: jnp.pad(crop, pads))
    batch = images()
    out = shown(batch, "ten_crop")
    for crop, (top, left) in zip(out, [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)], strict=False):
        np.testing.assert_array_equal(crop[:, :44, :44], batch[:, top : top + 44, left : left + 44])
    np.testing.assert_array_equal(out[5:], out[:5, :, :, ::-1])


def test_ten_crop_is_resized_back():
    assert shown(images(), "ten_crop").shape == (10, 2, 48, 48, 1)


def test_unknown_view_is_refused():
    with pytest.raises(UserError, match=r"'flop' does not exist.*Did you mean 'flip'"):
        views.parts("flop")
