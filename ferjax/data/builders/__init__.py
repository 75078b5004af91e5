"""The data sets as TFDS builders, without TensorFlow."""
