"""How often a label map is warned of, when it is right and when it is wrong.

    python -m tests.measure.map_warnings [--draws=1500] [--runs=DIR,DIR,...]

draws confusion matrices of 7 classes from 7 to 3,000 images, of models as named below and with the
rates of finished runs on their test split, and prints the share of warnings for each number. Half
of the draws of right maps have 2 to 6 classes, half have classes of unequal size. pytest does not
collect this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ferjax.data.label_maps import LabelMap
from ferjax.evaluation import map_check

CLASSES = 7
IMAGES = (7, 14, 21, 30, 50, 100, 300, 1000, 3000)
NAMES = tuple("abcdefg")
RANDOM = np.random.default_rng(0)

Rates = np.ndarray  # [K, K]: of each true class, how often it is called what


def constant() -> Rates:
    """At random."""
    return np.full((CLASSES, CLASSES), 1 / CLASSES)


def partial() -> Rates:
    """The same for every class, some classes more often than others."""
    return np.tile(RANDOM.dirichlet(np.full(CLASSES, 0.6)), (CLASSES, 1))


def collapsed() -> Rates:
    """Nine of ten images are called by one name."""
    one = np.eye(CLASSES)[RANDOM.integers(CLASSES)]
    return 0.9 * np.tile(one, (CLASSES, 1)) + 0.1 * partial()


def drawn(accuracy: float) -> Rates:
    """Popular classes are found more often, and attract half of the mistakes."""
    popular = RANDOM.dirichlet(np.ones(CLASSES))
    recall = accuracy + 0.9 * (popular - popular.mean()) + RANDOM.normal(0, 0.12, CLASSES)
    errors = 0.5 * popular + 0.5 * RANDOM.dirichlet(np.full(CLASSES, 0.7), CLASSES)
    return with_recall(np.clip(recall, 0.02, 0.98), errors)


def mistaken(accuracy: float) -> Rates:
    """Each class is mistaken for one or two others, which differ from class to class."""
    popular = RANDOM.dirichlet(np.full(CLASSES, 0.5))
    recall = RANDOM.beta(accuracy * 2.5, (1 - accuracy) * 2.5, CLASSES)
    return with_recall(recall, popular * RANDOM.dirichlet(np.full(CLASSES, 0.7), CLASSES) + 1e-9)


def with_recall(recall: np.ndarray, errors: Rates) -> Rates:
    """Rates with this recall, whose mistakes are in proportion to `errors`."""
    errors = errors * (1 - np.eye(CLASSES))
    errors = errors / errors.sum(axis=1, keepdims=True) * (1 - recall)[:, None]
    return errors + np.diag(recall)


def good() -> Rates:
    """A model of 94 %, whose mistakes are at random."""
    return 0.93 * np.eye(CLASSES) + 0.07 / CLASSES


def of_run(workdir: Path) -> Rates:
    """The rates of a run on its test split."""
    scores = json.loads((workdir / "result.json").read_text())["test"]["single"]["test"]
    counts = np.array(scores["confusion"], float)
    return counts / counts.sum(axis=1, keepdims=True)


def warned(rates: Rates, images: int, exchanged: int) -> bool:
    """Whether one draw is warned of; `exchanged` classes have the name of another."""
    number, shares = CLASSES, np.full(CLASSES, 1 / CLASSES)
    if not exchanged:
        number = int(RANDOM.integers(2, CLASSES)) if RANDOM.random() < 0.5 else CLASSES
        shares = np.full(number, 1 / number)
        if RANDOM.random() < 0.5:
            shares = RANDOM.dirichlet(np.ones(number))
    rows = RANDOM.permutation(CLASSES)[:number]
    each = np.full(number, images // number)
    each[: images % number] += 1
    if not np.allclose(shares, shares[0]):
        each = RANDOM.multinomial(images, shares)
    counts = np.stack(
        [RANDOM.multinomial(n, rates[row]) for n, row in zip(each, rows, strict=True)]
    )
    ours = rows.copy()
    if exchanged:
        some = RANDOM.permutation(CLASSES)[:exchanged]
        ours[some] = ours[np.roll(some, 1)]
    source = tuple(f"s{row}" for row in range(number))
    table = tuple(map(int, ours))
    return bool(map_check.warning(counts, LabelMap(source, NAMES, table)))


def main() -> None:
    """Draws and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1500)
    parser.add_argument("--runs", default="")
    given = parser.parse_args()
    models: dict[str, Callable[[], Rates]] = {
        "at random": constant,
        "partial": partial,
        "one class": collapsed,
    }
    for accuracy in (0.30, 0.45, 0.60):
        models[f"drawn {accuracy:.0%}"] = lambda accuracy=accuracy: drawn(accuracy)
        models[f"mistaken {accuracy:.0%}"] = lambda accuracy=accuracy: mistaken(accuracy)
    models["good"] = good
    for name in filter(None, given.runs.split(",")):
        rates = of_run(Path(name))
        models[Path(name).name] = lambda rates=rates: rates
    print(f"{'model':16} {'exchanged':>9}", *(f"{n:>7,}" for n in IMAGES))
    real = [Path(name).name for name in filter(None, given.runs.split(","))]
    for name, rates in models.items():
        for exchanged in (0, 2, 3, CLASSES) if name in ("good", *real) else (0,):
            shares = [
                np.mean([warned(rates(), n, exchanged) for _ in range(given.draws)]) for n in IMAGES
            ]
            print(f"{name:16} {exchanged:9}", *(f"{share:7.2%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
