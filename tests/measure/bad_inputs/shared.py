"""What the cases share: images, the same prepared, and a finished run on them, made once."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.measure.bad_inputs.case import Stage

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = REPOSITORY / "configs" / "cbam_island.py"
TINY = (
    f"--config={CONFIG}:dataset=image_folder,name=mine,stem=small,budget=cpu",
    "--config.train.num_epochs=2",
    "--config.model.width=8",
    "--config.model.image_size=16",
    "--config.train.batch_size=8",
    "--config.evaluation.batch_size=16",
    "--config.optimizer.warmup_epochs=0",
    "--config.model.dtype=float32",
)


def make(folder: Path) -> None:
    """Makes images/, data/ and tiny/ in `folder`; what is there already is kept."""
    images = folder / "images"
    if not images.exists():
        for label, light in (("happy", 180), ("sad", 60)):
            (images / label).mkdir(parents=True)
            for number in range(40):
                rng = np.random.default_rng([light, number])
                pixels = np.clip(rng.normal(light, 40, (16, 16)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(images / label / f"{number}.png")
    if not (folder / "data").exists():
        _run(folder, "data.prepare", "--dataset=image_folder", "--name=mine", "--source=images")
    if not (folder / "tiny" / "result.json").exists():
        _run(folder, "main", *TINY, "--workdir=tiny")


def training(*more: str) -> Callable[[Stage], Sequence[str]]:
    """A maker of the command of `tiny` for another workdir, `run`, with more arguments."""
    return lambda stage: ("main", *TINY, "--workdir=run", *more)


def environment(folder: Path) -> dict[str, str]:
    """The environment in which the commands run."""
    return {
        "FERJAX_DATA_DIR": str(folder / "data"),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "400",
    }


def _run(folder: Path, module: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", f"ferjax.{module}", *arguments],
        cwd=folder,
        env=os.environ | environment(folder),
        check=True,
    )
