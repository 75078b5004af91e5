import hashlib

import numpy as np
import pytest

from ferjax.data.labels import FER2013
from ferjax.data.synthetic import action_units, draws, faces

# sha256 of the first 28 images at 48x48x1, seed 0. A change of it is another data set: every figure
# measured on the old one has to be measured again.
GOLDEN = "6eb3c88c67bf6a586f7c079e980c66a9658bfa175f1ddde57c4585eb027d98ca"


def test_images_are_the_published_ones():
    images = faces.render_faces(np.arange(28))
    assert images.shape == (28, 48, 48, 1)
    assert images.dtype == np.uint8
    assert hashlib.sha256(images.tobytes()).hexdigest() == GOLDEN


def test_an_image_does_not_depend_on_its_batch():
    indices = np.array([5, 900, 41, (7 << 40) + 3, 12, 13])
    together = faces.render_faces(indices)
    for index, image in zip(indices, together, strict=True):
        np.testing.assert_array_equal(faces.render_faces(np.array([index]))[0], image)


def test_seed_and_index_both_matter():
    first = faces.render_faces(np.arange(7), seed=0)
    assert not np.array_equal(first, faces.render_faces(np.arange(7), seed=1))
    assert len({image.tobytes() for image in first}) == 7


@pytest.mark.parametrize("image_size", [8, 31, 96])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_colour(image_size, channels):
    images = faces.render_faces(np.arange(3), image_size=image_size, channels=channels)
    assert images.shape == (3, image_size, image_size, channels)
    assert images.std() > 10


def test_another_size_shows_the_same_face():
    small = faces.render_faces(np.arange(28), image_size=24)[..., 0].astype(float)
    large = faces.render_faces(np.arange(28), image_size=96)[..., 0].astype(float)
    pooled = large.reshape(28, 24, 4, 24, 4).mean(axis=(2, 4))
    for index in range(28):
        assert np.corrcoef(small[index].ravel(), pooled[index].ravel())[0, 1] > 0.85


def test_grey_is_the_luminance_of_rgb():
    grey = faces.render_faces(np.arange(28), image_size=64)[..., 0].astype(float)
    rgb = faces.render_faces(np.arange(28), image_size=64, channels=3).astype(float)
    difference = grey - rgb @ np.array([0.299, 0.587, 0.114])
    # They differ by the camera's noise, and where a channel is clipped.
    assert np.abs(np.median(difference, axis=(1, 2))).max() < 3.0


def test_seven_consecutive_examples_are_one_person():
    indices = np.arange(70)
    np.testing.assert_array_equal(faces.labels_of(indices), np.tile(np.arange(7), 10))
    np.testing.assert_array_equal(faces.identities_of(indices), np.repeat(np.arange(10), 7))


def activations(label, count=400):
    generators = (draws.philox(0, 0, index) for index in range(count))
    table = draws.Draws.of(generators, 1 + 3 * len(action_units.ACTION_UNITS))
    return action_units.draw_activations(np.full(count, label), table)


def test_prototypes_are_those_of_emfacs():
    core = {name: set(p.core) for name, p in action_units.PROTOTYPES.items()}
    assert tuple(core) == FER2013.names
    assert core["happy"] == {6, 12}
    assert core["sad"] == {1, 4, 15}
    assert core["surprise"] >= {1, 2, 5, 26}
    assert core["fear"] >= {1, 2, 4, 5, 20}
    assert core["angry"] >= {4, 5, 7, 23}
    assert core["disgust"] >= {9}
    assert core["neutral"] == set()
    for prototype in action_units.PROTOTYPES.values():
        units = set(prototype.core) | set(prototype.optional)
        assert units <= set(action_units.ACTION_UNITS)
        assert not set(prototype.core) & set(prototype.optional)


@pytest.mark.parametrize("label", range(7))
def test_core_units_are_strong_and_others_rare(label):
    prototype = action_units.PROTOTYPES[FER2013.names[label]]
    for unit, intensity in activations(label).items():
        assert intensity.min() >= 0.0
        assert intensity.max() <= 1.0
        if unit in prototype.core:
            assert intensity.min() > 0.4 * prototype.core[unit]
        elif unit in prototype.optional:
            assert 0.25 < np.mean(intensity > 0.0) < 0.45
        else:
            assert 0.03 < np.mean(intensity > 0.0) < 0.14
            assert intensity.max() <= 0.3


def change(unit):
    """How much an action unit at full intensity changes each output of `deform` on a mean face."""
    person = draws.Draws(np.full((1, 200), 0.5))
    identity = faces.draw_identity(person)
    view = faces.draw_view(draws.Draws(np.full((1, 200), 0.5)))
    still = dict.fromkeys(action_units.ACTION_UNITS, np.zeros(1))
    before = faces.deform(identity, still, view)
    after = faces.deform(identity, {**still, unit: np.ones(1)}, view)
    return {name: float(after[name][0] - before[name][0]) for name in before}


def test_action_units_move_what_their_names_say():
    # Up is positive for brows and the mouth as a whole, down for the mouth's corners.
    assert change(1)["brow_inner"] > 0.05 > change(1)["brow_outer"]
    assert change(2)["brow_outer"] > 0.05 > change(2)["brow_inner"]
    assert change(4)["brow_inner"] < -0.05
    assert change(5)["lid_upper"] > 0.2
    assert change(6)["lid_lower"] < -0.2
    assert change(7)["lid_lower"] < -0.2
    assert change(9)["nose_wrinkle"] == pytest.approx(1.0, abs=0.05)
    assert change(10)["gap_upper"] > 0.05
    assert change(12)["corner"] < -0.1
    assert change(15)["corner"] > 0.1
    assert change(17)["chin_arch"] > 0.05
    assert change(20)["mouth_half"] > 0.05
    assert change(23)["upper_lip"] < -0.02
    assert change(25)["gap_lower"] > 0.05
    assert change(26)["jaw_drop"] > 0.1
    for unit in action_units.ACTION_UNITS:
        assert any(abs(moved) > 0.02 for moved in change(unit).values())


def test_gaussians_are_standard():
    sample = draws.gaussians(draws.philox(3, 0, 5), 100_001)
    assert sample.shape == (100_001,)
    assert abs(sample.mean()) < 0.02
    assert abs(sample.std() - 1.0) < 0.02


def test_streams_are_unrelated():
    one = draws.uniforms(draws.philox(0, 0, 7), 1000)
    other = draws.uniforms(draws.philox(0, 1, 7), 1000)
    assert one.min() >= 0.0
    assert one.max() < 1.0
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.15
