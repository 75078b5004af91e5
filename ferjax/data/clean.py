"""The clean test split: test images that training cannot have seen, each of them once.

Shape letters: N examples, H W C image.
"""

import numpy as np
from jaxtyping import Bool, UInt8


def clean_test_mask(
    test_images: UInt8[np.ndarray, "N H W C"], *other_images: UInt8[np.ndarray, "_ H W C"]
) -> Bool[np.ndarray, "N"]:
    """Which test images count as clean.

    Args:
      test_images: the test split.
      *other_images: the images of the other splits, as many arrays as there are splits.

    Returns:
      True where the pixels of a test image occur in none of `other_images` and in no earlier test
      image. Labels play no part.
    """
    # Pixels are compared as bytes, exactly: no hash, hence no collision.
    seen = {image.tobytes() for images in other_images for image in images}
    mask = np.zeros(len(test_images), dtype=bool)
    for index, image in enumerate(test_images):
        pixels = image.tobytes()
        mask[index] = pixels not in seen
        seen.add(pixels)
    return mask
