"""Memory and speed of `ferjax.predict` on many files, beside a plain loop of Pillow and the model.

    python -m tests.measure.many_files [--files=10000] [--side=224] [--folder=DIR]

makes a run of a small network on images of this side, and JPEG files of that side; both stay in the
folder and are used again. Each measurement is a process of its own, whose most memory the system
tells. Speed is that of the files beyond the first 100, so that neither start nor compiling counts.
pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
from PIL import Image, ImageFilter

CLASSES = ("happy", "sad")
FEW = 100
LOOP = """
import sys
import numpy as np
from PIL import Image
import ferjax

classifier = ferjax.load(sys.argv[1])
names = sorted(open(sys.argv[2]).read().splitlines())
height, width, _ = classifier.native_shape
for start in range(0, len(names), 64):
    images = [
        np.asarray(Image.open(name).convert("RGB").resize((width, height)))
        for name in names[start : start + 64]
    ]
    rows = classifier.predict_arrays(np.stack(images)).probabilities
    for name, row in zip(names[start : start + 64], rows):
        print(name, *row, sep=",")
"""


def write_images(folder: Path, number: int, side: int) -> None:
    """Coloured clouds, which pack about as well as faces."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(number):
        path = folder / f"{index:06}.jpg"
        if not path.exists():
            coarse = random.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            image.filter(ImageFilter.GaussianBlur(1)).save(path, quality=90)


def trained(folder: Path, side: int) -> Path:
    """The run, made unless it is there."""
    workdir, source = folder / "run", folder / "source"
    if (workdir / "result.json").exists():
        return workdir
    for name in CLASSES:
        write_images(source / name, 40, side)
    data = f"--data_dir={folder}/data"
    python("-m", "ferjax.data.prepare", "--dataset=image_folder", "--name=clouds", data,
           f"--source={source}")  # fmt: skip
    python("-m", "ferjax.main", "--config=configs/cbam_island.py:dataset=image_folder,name=clouds",
           f"--workdir={workdir}", f"--config.dataset.data_dir={folder}/data",
           "--config.model.width=8", "--config.model.image_size=48", "--config.train.num_epochs=1",
           "--config.train.batch_size=16", "--config.model.dtype=float32")  # fmt: skip
    return workdir


def python(*arguments: str, out: str = os.devnull) -> tuple[float, float]:
    """Runs Python; its seconds, and the most memory that it had, in MiB."""
    start = time.monotonic()
    with open(out, "wb") as file:
        process = subprocess.Popen([sys.executable, *arguments], stdout=file)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with {status}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="ferjax-many-"))
    workdir = trained(folder, given.side)
    write_images(folder / "few", FEW, given.side)
    write_images(folder / "many", given.files, given.side)
    for name in ("few", "many"):
        listing = "\n".join(map(str, (folder / name).iterdir()))
        (folder / f"{name}.txt").write_text(listing)

    def compared(title: str, few: tuple[str, ...], many: tuple[str, ...]) -> None:
        (first, base), (last, most) = python(*few), python(*many, out=str(folder / "out"))
        rate = (given.files - FEW) / (last - first)
        print(
            f"{title}: {rate:,.0f} images/s; at most {base:,.0f} MiB for {FEW} files and "
            f"{most:,.0f} MiB for {given.files:,}, {most - base:+,.0f}",
            flush=True,
        )

    for form in ("csv", "table", "jsonl"):
        command = ("-m", "ferjax.predict", f"--workdir={workdir}", f"--format={form}")
        compared(form, (*command, f"{folder}/few"), (*command, f"{folder}/many"))
    loop = ("-c", LOOP, str(workdir))
    compared("plain loop", (*loop, f"{folder}/few.txt"), (*loop, f"{folder}/many.txt"))


if __name__ == "__main__":
    main()
