"""The clean test split: test images that training cannot have seen, each of them once.

Shape letters: N examples.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool


def clean_test_mask(
    test_images: Sequence[bytes], *other_images: Sequence[bytes]
) -> Bool[np.ndarray, " N"]:
    """Which test images count as clean.

    Args:
      test_images: the SHA-256 of shape and pixels of each image of the test split.
      *other_images: the SHA-256 of each image of the other splits, one sequence for each split.

    Returns:
      True where the pixels of a test image occur in none of `other_images` and in no earlier test
      image. Labels play no part.
    """
    seen = {image for images in other_images for image in images}
    mask = np.zeros(len(test_images), dtype=bool)
    for index, image in enumerate(test_images):
        mask[index] = image not in seen
        seen.add(image)
    return mask
