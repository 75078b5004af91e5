"""The record format of every prepared data set."""

import numpy as np
import tensorflow_datasets as tfds


def example_features(
    *,
    image_shape: tuple[int, int, int],
    names: tuple[str, ...],
    as_files: bool = False,
    num_votes: int = 0,
) -> tfds.features.FeaturesDict:
    """Features of one example.

    Args:
      image_shape: (H, W, C), the same for all images of the data set.
      names: class names in the order of the labels.
      as_files: whether images are stored as the JPEG or PNG files that they came as.
      num_votes: entries of a ballot; 0 for a data set without votes.

    Returns:
      image: uint8 [H, W, C], stored as raw bytes, which are read back without decoding, or as a
      file; label: index into `names`; key: where the image came from, unique within its split;
      pixel_hash: hex SHA-256 of shape and pixels; subject: the person shown, "" if not known;
      votes: int32 [num_votes], only if there are any.
    """
    image = (
        tfds.features.Image(shape=image_shape)
        if as_files
        else tfds.features.Tensor(shape=image_shape, dtype=np.uint8, encoding="bytes")
    )
    features = {
        "image": image,
        "label": tfds.features.ClassLabel(names=list(names)),
        "key": tfds.features.Text(),
        "pixel_hash": tfds.features.Text(),
        "subject": tfds.features.Text(),
    }
    if num_votes:
        features["votes"] = tfds.features.Tensor(shape=(num_votes,), dtype=np.int32)
    return tfds.features.FeaturesDict(features)
