"""Crops by the eyes: wherever a face lies and however it is turned, they come to one place."""

import numpy as np
import pytest
from PIL import Image

from ferjax.inference.faces import alignment, measuring
from ferjax.inference.faces.alignment import Framing
from ferjax.inference.faces.face import Face
from tests.helpers import scenes

FRAMING = Framing(0.52, 0.4, 0.36, found=9, images=10)


def photo_of_spots(size, places, radius):
    """Black, with soft spots: red at the first place, green at the second."""
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    pixels = np.zeros((size[1], size[0], 3))
    for channel, (x, y) in enumerate(places):
        pixels[:, :, channel] = 255 * np.exp(
            -((columns - x) ** 2 + (rows - y) ** 2) / (2 * radius**2)
        )
    return Image.fromarray(pixels.round().astype(np.uint8))


def centre(plane):
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]] + 0.5
    return (plane * columns).sum() / plane.sum(), (plane * rows).sum() / plane.sum()


def face(first, second):
    return Face((0.0, 0.0, 1.0, 1.0), 1.0, (first, second))


@pytest.mark.parametrize("degrees", [-40, 0, 25])
@pytest.mark.parametrize("apart", [8, 60, 700])  # enlarged, as it is, made smaller
@pytest.mark.parametrize("shape", [(48, 48), (60, 40)])
def test_the_eyes_come_to_their_place(degrees, apart, shape):
    side = max(200, round(3.5 * apart))
    middle, turn = np.array([0.55, 0.45]) * side, np.radians(degrees)
    half = np.array([np.cos(turn), np.sin(turn)]) * apart / 2
    eyes = tuple(middle - half), tuple(middle + half)
    photo = photo_of_spots((side, side), eyes, max(apart / 14, 1.5))
    made = alignment.crop(photo, face(*eyes), FRAMING, shape)
    seen = np.asarray(made.image, float)
    height, width = shape
    assert made.image.width / made.image.height == pytest.approx(width / height, rel=0.03)
    assert made.scale == pytest.approx(apart / (FRAMING.distance * width))
    for channel, sign in ((0, -1), (1, 1)):
        x, y = centre(seen[:, :, channel])
        expected = FRAMING.x + sign * FRAMING.distance / 2, FRAMING.y
        found = x / made.image.width, y / made.image.height
        np.testing.assert_allclose(found, expected, atol=0.006)


def test_what_lies_outside_repeats_the_edge():
    photo = Image.new("RGB", (40, 40), (10, 200, 30))
    inside = alignment.crop(photo, face((18, 20), (22, 20)), FRAMING, (8, 8))
    outside = alignment.crop(photo, face((0, 2), (10, 2)), FRAMING, (8, 8))
    beyond = alignment.crop(photo, face((-90, -90), (-80, -90)), FRAMING, (8, 8))
    assert [one.reaches_out for one in (inside, outside, beyond)] == [False, True, True]
    for one in (inside, outside, beyond):
        assert np.abs(np.asarray(one.image, int) - (10, 200, 30)).max() <= 1


def test_two_eyes_in_one_place_are_no_division_by_nothing():
    made = alignment.crop(Image.new("RGB", (9, 9)), face((4, 4), (4, 4)), FRAMING, (8, 8))
    assert made.image.size == (8, 8)


def test_the_framing_of_rendered_faces_is_that_of_the_renderer():
    indices = np.arange(72)
    images = scenes.faces.render_faces(indices, image_size=48)
    found = measuring.measure(images, indices)
    views = [scenes.view_of(index, 0) for index in indices]
    # An eye is 0.36 to 0.46 of half a face from the middle; see `faces.draw_identity`.
    apart = 2 * 0.41 * np.median([view["scale"] for view in views]) / 2
    assert found.images == 72 and found.found >= 54
    assert found.distance == pytest.approx(apart, abs=0.03)
    assert found.x == pytest.approx(0.5, abs=0.03) and found.y == pytest.approx(0.47, abs=0.03)


def test_the_framing_is_in_sides_of_an_image_that_is_not_square():
    images = scenes.faces.render_faces(np.arange(36), image_size=60, channels=3)
    wide = np.pad(images, ((0, 0), (0, 0), (0, 30), (0, 0)), constant_values=127)
    square, found = (measuring.measure(each, np.arange(36)) for each in (images, wide))
    assert found.distance == pytest.approx(square.distance / 1.5, abs=0.02)
    assert found.x == pytest.approx(square.x / 1.5, abs=0.02)
    assert found.y == pytest.approx(square.y, abs=0.02)


def test_images_without_faces_have_no_framing():
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    assert measuring.measure(noise, np.arange(40)) is None
