"""Time and memory of `ferjax.predict` on photographs.

    python -m tests.measure.photo_cost [--photos=1000] [--megapixels=12]

Photographs of 640x480 pixels with three rendered faces each are classified by `fer2013-small`, 100
of them and all, each time in a process of its own, whose most memory the system tells. Then large
photographs are classified in this process, one after another: the first ones compile. pytest does
not collect this file.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import ferjax
from tests.helpers import scenes
from tests.measure.many_files import python

FEW = 100


def write_photos(folder, number):
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = [scenes.scene(np.arange(3 * at, 3 * at + 3), 0, rng).photo for at in range(20)]
    for at in range(number):
        made[at % len(made)].save(folder / f"{at:06}.jpg", quality=90)


def large(megapixels):
    """A photograph of 4:3 with three faces."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    photo = scenes.scene(np.arange(3), 0, np.random.default_rng(0)).photo
    return photo.resize((width, width * 3 // 4), Image.Resampling.BICUBIC)


def main():
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--megapixels", type=float, default=12)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ferjax-photos-") as name:
        folder = Path(name)
        for number in (FEW, given.photos):
            write_photos(folder / str(number), number)
            command = ("-m", "ferjax.predict", "--model=fer2013-small", "--format=csv")
            seconds, most = python(*command, str(folder / str(number)), out=str(folder / "out"))
            print(f"{number:,} photographs: {seconds:.0f} s, at most {most:,.0f} MiB", flush=True)
        large(given.megapixels).save(folder / "large.jpg", quality=90)
        classifier = ferjax.load("fer2013-small")
        for at in range(4):
            start, wall = time.process_time(), time.monotonic()
            faces = classifier.faces(folder / "large.jpg")
            cpu, wall = time.process_time() - start, time.monotonic() - wall
            print(
                f"{given.megapixels:g} megapixels, photograph {at + 1}: {cpu:.2f} s of CPU, "
                f"{wall:.2f} s, {len(faces)} faces"
            )


if __name__ == "__main__":
    main()
