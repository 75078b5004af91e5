"""What a classifier takes for images, and what it refuses. The model sees the mean grey level."""

import inspect
import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import ferjax
from ferjax.errors import UserError
from ferjax.inference.classifier import Classifier


@pytest.fixture
def classifier():
    def predict(images):
        level = images.mean(axis=(1, 2, 3)) / 255
        return np.stack([level, 1 - level], axis=1)

    return Classifier(predict, labels=("bright", "dark"), native_shape=(16, 16, 1))


def test_an_array_of_jax_is_read_as_one_of_numpy(classifier):
    for shape in ((16, 20), (16, 20, 1), (16, 20, 3), (5, 16, 20), (5, 16, 20, 3)):
        number = 5 if shape[0] == 5 else 1
        level = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        assert len(classifier(jnp.asarray(level)).probabilities) == number


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_an_image_of_pillow_is_converted(classifier, mode):
    image = Image.new("RGB", (20, 20), (250, 250, 250))
    image.paste((150, 150, 150), (0, 0, 5, 20))
    image = image.convert(mode)
    for given in (image, [image]):
        assert classifier.predict(given).tolist() == ["bright"]
    with pytest.raises(UserError, match="image 0 has pixels of mode I;16"):
        classifier(Image.new("I;16", (16, 16)))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((16, 20, 4), np.uint8), "leave out the transparency"),
        (np.zeros((16, 16, 2), np.uint8), "leave out the transparency"),
        ([np.zeros((0, 16), np.uint8)], r"of shape \(0, 16\); expected uint8"),
        ([np.zeros((16, 16, 4), np.uint8)], r"of shape \(16, 16, 4\); expected uint8"),
        (np.zeros((2, 16, 16), np.float32), "image 0 is float32"),
        ([np.zeros((16, 16), np.uint8), None], "image 1 is NoneType, and no image. cv2.imread ret"),
        ([b"abc"], r"image 0 is bytes, and no image.* PIL.Image.open"),
        ([io.BytesIO(b"abc")], r"image 0 is BytesIO, and no image.* PIL.Image.open\(file\)"),
        ([Image.new("L", (0, 5))], r"image 0 has 0x5 pixels"),
        (None, "The images are NoneType; expected paths.* cv2.imread returns None"),
        (io.BytesIO(b"abc"), r"The images are BytesIO; .* PIL.Image.open\(file\)"),
        (5, "The images are int; expected paths"),
        (np.uint8(3), "The images are ndarray; expected paths"),
        (b"abc", "The images are bytes; expected paths"),
        ("a\0b", "has a NUL character"),
        ([], "There is no image to classify"),
    ],
)
def test_what_is_no_image_is_refused(classifier, images, said):
    with pytest.raises(UserError, match=said):
        inspect.unwrap(Classifier.__call__)(classifier, images)  # without the tests' types


def test_an_array_that_may_have_its_channels_first_is_told(classifier):
    images = np.tile(np.uint8([0, 255]), (3, 16, 8))
    with pytest.warns(UserWarning, match=r"is taken for 3 grey images.*transpose"):
        assert len(classifier(images)[0]) == 3
    assert len(classifier(images[:1])[0]) == 1


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 16, 16, 1), np.float32),
        np.zeros((1, 16, 16, 3), np.uint8),
        np.zeros((2, 16, 16), np.uint8),
        np.zeros((0, 16, 16, 1), np.uint8),
        [[1]],
        None,
    ],
)
def test_arrays_that_have_not_the_native_shape_are_refused(classifier, images):
    with pytest.raises(UserError, match=r"expected uint8 of shape \[N, 16, 16, 1\]"):
        inspect.unwrap(Classifier.predict_arrays)(classifier, images)  # without the tests' types


@pytest.mark.parametrize("workdir", [None, 5, [1], b"x"])
def test_what_is_no_path_is_no_run(workdir):
    with pytest.raises(UserError, match="expected the path of a run directory"):
        inspect.unwrap(ferjax.load)(workdir)
