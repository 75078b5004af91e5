"""The clean test split."""

import numpy as np

from ferjax.data.clean import clean_test_mask


def test_images_seen_elsewhere_and_later_copies_are_out():
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1), dtype=np.uint8)
    a, b, c, d, e, f = images
    train, validation = np.stack([a, f]), np.stack([b])
    test = np.stack([c, a, d, c, b, e, c])
    mask = clean_test_mask(test, train, validation)
    assert mask.tolist() == [True, False, True, False, False, True, False]


def test_one_grey_level_makes_another_image():
    image = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    other = image.copy()
    other[0, 1, 1, 0] = 1
    assert clean_test_mask(other, image).tolist() == [True]
    assert clean_test_mask(image, image).tolist() == [False]
    assert clean_test_mask(image).tolist() == [True]
