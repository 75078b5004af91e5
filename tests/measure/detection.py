"""How many rendered faces on photographs a detector finds, and how many of its boxes are right.

    python -m tests.measure.detection
    python -m tests.measure.detection --detector=yunet --seeds=0,1,2 --scenes=30

A scene of 640x480 pixels is a photograph of nobody with three rendered faces, 70 to 200 pixels
wide and turned by up to 30 degrees. A face is found by a box whose intersection over union with a
square around the head, as wide as the head and between brow and chin, is at least 0.35.
"""

import sys
import time
from typing import NamedTuple

import numpy as np
from absl import flags

from ferjax.inference.faces import detectors
from tests.helpers import scenes as rendered

FLAGS = flags.FlagValues()
flags.DEFINE_string("detector", "mtcnn", "see ferjax.predict", flag_values=FLAGS)
flags.DEFINE_list("seeds", ["0", "1", "2"], "of the scenes", flag_values=FLAGS)
flags.DEFINE_integer("scenes", 30, "with three faces each", flag_values=FLAGS)


class Counts(NamedTuple):
    """What was found of so many faces."""

    faces: int
    boxes: int
    hits: int
    seconds: float

    @property
    def recall(self):
        return self.hits / self.faces

    @property
    def precision(self):
        return self.hits / max(self.boxes, 1)


def count(detector, *, seed, scenes):
    rng = np.random.default_rng(seed)
    made = [rendered.scene(rng.integers(0, 10**6, 3), seed, rng) for _ in range(scenes)]
    start = time.monotonic()
    found = detector([one.photo for one in made])
    seconds = time.monotonic() - start
    boxes = [[face.box for face in faces] for faces in found]
    hits = sum(rendered.hits(each, one.heads) for each, one in zip(boxes, made, strict=True))
    faces = sum(len(one.heads) for one in made)
    return Counts(faces, sum(map(len, boxes)), hits, seconds)


def main():
    FLAGS(sys.argv)
    detector = detectors.create(FLAGS.detector)
    for seed in map(int, FLAGS.seeds):
        found = count(detector, seed=seed, scenes=FLAGS.scenes)
        print(
            f"seed {seed}: {found.hits} of {found.faces} faces found, {found.boxes} boxes: recall "
            f"{found.recall:.3f}, precision {found.precision:.3f}; "
            f"{found.seconds / FLAGS.scenes:.2f} s a scene"
        )


if __name__ == "__main__":
    main()
