"""The record that every data set of ferjax is stored as."""

import numpy as np
import tensorflow_datasets as tfds


def example_features(
    *, image_shape: tuple[int, int, int], names: tuple[str, ...]
) -> tfds.features.FeaturesDict:
    """Features of one example.

    Args:
      image_shape: (H, W, C), the same for all images of the data set.
      names: class names in the order of the labels.

    Returns:
      image: uint8 [H, W, C], stored as raw bytes: lossless, and read back without decoding;
      label: index into `names`; key: where the image came from, unique within its split.
    """
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Tensor(shape=image_shape, dtype=np.uint8, encoding="bytes"),
            "label": tfds.features.ClassLabel(names=list(names)),
            "key": tfds.features.Text(),
        }
    )
