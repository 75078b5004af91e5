"""The detector against the published one, and on rendered faces in photographs."""

import functools
import hashlib

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ferjax.errors import UserError
from ferjax.inference.faces import mtcnn_networks as networks
from ferjax.inference.faces import pyramid
from ferjax.inference.faces.mtcnn import Mtcnn
from tests.helpers import scenes
from tests.measure import detection


@pytest.fixture(scope="module")
def detector():
    return Mtcnn()


@pytest.fixture(scope="module")
def golden(repository):
    with np.load(repository / "tests/golden/mtcnn.npz") as file:
        return dict(file)


def windows(side):
    photo = np.asarray(scenes.photograph("astronaut.png"))
    corners = [(52 + 5 * k, 150 + 6 * k) for k in range(6)] + [(20, 60 * k) for k in range(6)]
    step = 132 // side
    return np.stack([photo[y::step, x::step][:side, :side] for y, x in corners])


@pytest.mark.parametrize(("name", "side"), [("pnet", 44), ("rnet", 24), ("onet", 48)])
def test_each_network_says_what_the_published_one_says(golden, name, side):
    network = getattr(networks, name)
    told = network(networks.weights(), networks.normalized(windows(side)))._asdict()
    expected = {key.split(".")[1]: golden[key] for key in golden if key.startswith(f"{name}.")}
    assert {key for key, value in told.items() if value is not None} == set(expected)
    assert (expected["scores"] > 0.9).any() and (expected["scores"] < 0.1).any()
    for part, values in expected.items():
        np.testing.assert_allclose(told[part], values, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", ["astronaut", "camera"])
def test_the_same_faces_are_found_as_by_the_published_detector(detector, golden, name):
    expected = [golden[key] for key in sorted(golden) if key.startswith(f"{name}.")]
    (found,) = detector([scenes.photograph(f"{name}.png")])
    assert len(found) == len(expected) == 1
    (face,), (row,) = found, expected
    assert scenes.overlaps([face.box], [row[:4]]) > 0.75
    between = np.linalg.norm(row[6:8] - row[4:6])
    assert np.abs(np.ravel(face.eyes) - row[4:8]).max() < 0.15 * between
    assert face.eyes[0][0] < face.eyes[1][0] and abs(face.score - row[8]) < 0.01


def test_rendered_faces_on_photographs_are_found(detector):
    # tests.measure.detection counts 90 faces of each of three seeds.
    found = detection.count(detector, seed=3, scenes=10)
    assert found.faces == 30 and found.recall >= 0.9 and found.precision >= 0.9


@pytest.mark.parametrize("side", [76, 100, 400])
def test_noise_and_black_have_no_face(detector, side):
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    blocks = np.repeat(np.repeat(noise[::8, ::8], 8, axis=0), 8, axis=1)
    images = [Image.fromarray(noise), Image.fromarray(blocks), Image.new("RGB", (side, side))]
    assert detector([*images, Image.new("RGB", (side, 3 * side), "white")]) == [[]] * 4


@pytest.mark.parametrize("name", scenes.BACKGROUNDS)
def test_photographs_of_nobody_have_no_face(detector, name):
    assert detector([scenes.photograph(name)]) == [[]]


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (19, 19), (3000, 20)])
def test_any_size_is_looked_at(detector, size):
    assert detector([Image.new("RGB", size, "grey")]) == [[]]


def test_no_photograph_is_no_face(detector):
    assert detector([]) == []


def test_a_face_does_not_depend_on_the_other_photographs_or_on_the_size(detector):
    photo = scenes.photograph("astronaut.png")
    (alone,) = detector([photo])
    together = detector([scenes.photograph("coffee.png"), photo, photo, photo, photo])
    assert [len(faces) for faces in together] == [0, 1, 1, 1, 1]
    (large,) = detector([photo.resize((3 * 512, 3 * 512), Image.Resampling.BICUBIC)])
    for face in (together[1][0], together[4][0], large[0].scaled(1 / 3)):
        np.testing.assert_allclose(face.box, alone[0].box, atol=5)
        np.testing.assert_allclose(np.ravel(face.eyes), np.ravel(alone[0].eyes), atol=2.5)


def test_small_and_large_faces_are_found(detector):
    face = scenes.photograph("astronaut.png").crop((150, 30, 300, 180))
    for side in (60, 150, 600):
        photo = scenes.photograph("gravel.png").resize((800, 700))
        photo.paste(face.resize((side, side), Image.Resampling.BICUBIC), (60, 40))
        (found,) = detector([photo])
        box = np.array((177 - 150, 59 - 30, 267 - 150, 173 - 30)) * side / 150 + (60, 40, 60, 40)
        assert len(found) == 1 and scenes.overlaps([found[0].box], [box]) > 0.6, side


def test_the_scales_show_the_photograph_and_keep_its_mean():
    made = pyramid.layout(96, 12)
    assert made.levels[0] == (96, 0, 0)
    assert [level.side for level in made.levels] == [96, 68, 48, 34, 24, 18, 12]
    photo = np.linspace(0, 1, 96, dtype=np.float32)[None, :, None, None]
    photo = jnp.broadcast_to(photo, (1, 96, 96, 3))
    image = np.asarray(pyramid.scales(photo, made))[0]
    assert image.shape == (made.height, made.width, 3)
    covered = np.zeros(image.shape[:2], int)
    for side, top, left in made.levels:
        assert top % 2 == left % 2 == 0
        part = image[top : top + side, left : left + side]
        covered[top : top + side, left : left + side] += 1
        assert abs(part.mean() - 0.5) < 0.01 and part.shape == (side, side, 3)
        ramp = (np.arange(side) + 0.5) / side
        np.testing.assert_allclose(
            part[side // 4 : -side // 4, 0, 0], ramp[side // 4 : -side // 4], atol=0.01
        )
    assert covered.max() == 1


def test_a_damaged_file_of_weights_is_refused(monkeypatch):
    monkeypatch.setattr(networks, "_SHA256", hashlib.sha256(b"other").hexdigest())
    monkeypatch.setattr(networks, "weights", functools.cache(networks.weights.__wrapped__))
    with pytest.raises(UserError, match="damaged; install ferjax again"):
        networks.weights()
