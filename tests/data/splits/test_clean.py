"""The clean test split."""

import numpy as np

from ferjax.data.splits.clean import clean_test_mask
from ferjax.data.storage.fingerprint import pixel_hash


def test_images_seen_elsewhere_and_later_copies_are_out():
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 3, 1), dtype=np.uint8)
    a, b, c, d, e, f = map(pixel_hash, images)
    mask = clean_test_mask([c, a, d, c, b, e, c], [a, f], [b])
    assert mask.tolist() == [True, False, True, False, False, True, False]


def test_one_grey_level_makes_another_image():
    image = np.zeros((2, 2, 1), dtype=np.uint8)
    other = image.copy()
    other[1, 1, 0] = 1
    image, other = [pixel_hash(image)], [pixel_hash(other)]
    assert clean_test_mask(other, image).tolist() == [True]
    assert clean_test_mask(image, image).tolist() == [False]
    assert clean_test_mask(image).tolist() == [True]
