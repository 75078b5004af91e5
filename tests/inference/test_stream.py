"""Many images: in order, at constant memory, on over bad ones."""

import functools
import threading
import time
import weakref

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ferjax.data.images import remarks
from ferjax.errors import UserError
from ferjax.inference import reading
from ferjax.inference.classifier import BATCH_SIZES, Classifier


@pytest.fixture
def batches():
    return []


@pytest.fixture
def classifier(batches):
    """It sees the mean grey level, and keeps the sizes of its batches."""

    def predict(images):
        batches.append(len(images))
        level = images.mean(axis=(1, 2, 3), dtype=np.float64).astype(np.float32) / 255
        return np.stack([level, 1 - level], axis=1)

    return Classifier(predict, labels=("bright", "dark"), native_shape=(8, 8, 1))


def levels(number):
    return [np.full((8, 8, 1), 50 + index % 150, np.uint8) for index in range(number)]


@pytest.mark.parametrize("number", [1, 2, 63, 64, 65, 150])
def test_each_image_has_its_row_in_order(classifier, batches, number):
    found = list(classifier.stream(iter(levels(number))))
    assert [one.name for one in found] == [f"image {index}" for index in range(number)]
    expected = np.float32([(50 + index % 150) / 255 for index in range(number)])
    np.testing.assert_allclose([one.probabilities[0] for one in found], expected, rtol=1e-6)
    assert set(batches) <= set(BATCH_SIZES) and sum(batches) < number + BATCH_SIZES[-1]
    np.testing.assert_array_equal(
        classifier(levels(number)).probabilities, [one.probabilities for one in found]
    )


def test_bad_images_are_told_in_their_place_and_the_others_are_classified(classifier, tmp_path):
    paths = []
    for index, level in enumerate(levels(200)):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(level[..., 0]).save(paths[-1])
        if index % 3 == 0:
            paths[-1].write_text("no image")
    found = list(classifier.stream(paths))
    assert [one.name for one in found] == list(map(str, paths))
    for index, one in enumerate(found):
        if index % 3 == 0:
            assert (
                one.probabilities is None
                and one.label == ""
                and f"{index}.png is not an image" in one.problem
            )
        else:
            assert one.probabilities[0] == pytest.approx((50 + index % 150) / 255)
            assert one.label == ("bright" if one.probabilities[0] > 0.5 else "dark")
            assert one.problem == "" and remarks.BLANK in one.remarks
    with pytest.raises(UserError, match=r"0\.png is not an image"):
        classifier(paths)


def test_bad_images_alone_need_no_model(classifier, batches, tmp_path):
    found = list(classifier.stream([tmp_path / f"{index}.png" for index in range(300)]))
    assert len(found) == 300 and not batches
    assert all("No such file" in one.problem for one in found)


def test_no_more_images_are_held_than_some_batches(classifier):
    alive = most = asked = 0

    def gone():
        nonlocal alive
        alive -= 1

    def images():
        nonlocal alive, most, asked
        for _ in range(2000):
            image = np.zeros((50, 50), np.uint8)
            alive, asked = alive + 1, asked + 1
            weakref.finalize(image, gone)
            most = max(most, alive)
            yield image
            del image

    for done, _ in enumerate(classifier.stream(images())):
        assert asked <= done + 6 * BATCH_SIZES[-1]
    assert done == 1999 and most <= 6 * BATCH_SIZES[-1]


def test_a_caller_that_stops_early_waits_for_nothing(classifier):
    """What was read ahead is dropped, and no thread is left."""
    before = threading.active_count()
    stream = classifier.stream(iter(levels(1000)))
    next(stream)
    stream.close()
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_what_an_iterable_raises_comes_through(classifier):
    def images():
        yield from levels(100)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(classifier.stream(images()))


def test_images_are_read_while_the_model_computes():
    """The threads go on with the next batch while nobody asks for images."""
    started: set[int] = set()

    def read(index):
        started.add(index)
        return index

    mapped = reading._ahead((functools.partial(read, index) for index in range(100)), ahead=20)
    assert next(mapped) == 0
    until = time.monotonic() + 10
    while len(started) < 21 and time.monotonic() < until:
        time.sleep(0.001)
    assert started == set(range(21))
    assert list(mapped) == list(range(1, 100))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (20, 20)])
def test_a_buffer_that_is_filled_again_gives_each_of_its_images(classifier, shape):
    """As a camera or a decoder of videos gives them."""
    buffer = np.zeros(shape, np.uint8)

    def frames():
        for level in range(200):
            buffer[...] = level
            yield buffer

    found = [one.probabilities[0] for one in classifier.stream(frames())]
    np.testing.assert_allclose(found, np.arange(200) / 255, rtol=1e-6)


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_the_frames_of_pillow_are_images_of_their_own(classifier, form, tmp_path):
    frames = [Image.new("L", (8, 8), 2 * level) for level in range(100)]
    frames[0].save(tmp_path / "a", form, save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a") as opened:
        found = [one.probabilities[0] for one in classifier.stream(ImageSequence.Iterator(opened))]
    np.testing.assert_allclose(found, np.arange(0, 200, 2) / 255, rtol=1e-6)


def test_probabilities_that_are_not_finite_end_the_stream(classifier):
    classifier._predict = lambda images: np.full((len(images), 2), np.nan)
    with pytest.raises(UserError, match="The probabilities of image 0 are not finite"):
        next(classifier.stream(levels(3)))
