"""Accuracy on rendered faces in photographs, beside the accuracy on the crops themselves.

    python -m tests.measure.photo_accuracy --workdir=runs/synthetic --faces=300

The run was trained on the synthetic data. Its test images are rendered again, larger, placed on
photographs, and classified from there: found, turned upright, cropped and resized. A face that is
not found counts as a wrong answer. Both accuracies are of the same faces.
"""

import sys
from typing import NamedTuple

import numpy as np
from absl import flags

import ferjax
from ferjax.data.synthetic import builder, faces
from tests.helpers import scenes

FLAGS = flags.FlagValues()
flags.DEFINE_string("workdir", None, "run on the synthetic data", flag_values=FLAGS)
flags.DEFINE_integer("faces", 300, "of the test split, three on a photograph", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "of the places", flag_values=FLAGS)
flags.DEFINE_integer("degrees", 30, "by which a face is turned at most", flag_values=FLAGS)


class Accuracies(NamedTuple):
    """Fractions of the faces: named right as crops, found, and named right in photographs."""

    crops: float
    found: float
    photographs: float


def measure(classifier, *, faces_, degrees, seed):
    indices = builder._STARTS["test"] + np.arange(faces_)
    size, _, channels = classifier.native_shape
    crops = faces.render_faces(indices, seed=0, image_size=size, channels=channels)
    labels = np.array(scenes.NAMES)[faces.labels_of(indices)]
    of_crops = classifier.predict(crops) == labels
    rng = np.random.default_rng(seed)
    found = right = 0
    for group in np.array_split(rng.permutation(faces_), faces_ // 3):
        made = scenes.scene(indices[group], 0, rng, most_degrees=degrees)
        seen = list(classifier.faces(made.photo))
        table = scenes.overlaps([one.face.box for one in seen], made.heads)
        for head, label in enumerate(labels[group]):
            if len(seen) and table[:, head].max() >= 0.35:
                found += 1
                right += seen[int(table[:, head].argmax())].label == label
    return Accuracies(float(of_crops.mean()), found / faces_, right / faces_)


def main():
    FLAGS(sys.argv)
    classifier = ferjax.load(FLAGS.workdir)
    found = measure(classifier, faces_=FLAGS.faces, degrees=FLAGS.degrees, seed=FLAGS.seed)
    print(
        f"{FLAGS.faces} faces: {100 * found.crops:.1f} % right as crops; in photographs "
        f"{100 * found.found:.1f} % found, {100 * found.photographs:.1f} % right"
    )


if __name__ == "__main__":
    main()
