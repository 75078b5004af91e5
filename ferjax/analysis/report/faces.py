"""The faces of a report: mistakes, doubts, what the model looks at, samples of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ferjax.analysis.figures.overlay import overlay, stretched
from ferjax.analysis.report.seen import Seen
from ferjax.cli import pages

_MOST = 96  # pixels a side of a thumbnail
_EACH = 12
_LOOKED = 8
_SAMPLES = 6

_WORDS = {
    "cbam.spatial.gate": "spatial gate",
    "attention_map": "attention map",
    "token_attention": "token attention",
}

Tile = dict[str, str]


def mistakes(seen: Seen) -> list[Tile]:
    """The wrong predictions with the highest probability."""
    rows, labels = _predictions(seen)
    wrong = np.flatnonzero(rows.argmax(axis=1) != labels)
    order = wrong[np.argsort(-rows[wrong].max(axis=1), kind="stable")][:_EACH]
    return [_tile(seen, rows, int(at)) for at in order]


def doubts(seen: Seen) -> list[Tile]:
    """The images whose two most probable classes are closest."""
    rows, _ = _predictions(seen)
    top = np.sort(rows, axis=1)[:, -2:]
    order = np.argsort(top[:, 1] - top[:, 0], kind="stable")[:_EACH]
    return [_tile(seen, rows, int(at)) for at in order]


def disagreements(right: Seen, wrong: Seen) -> list[Tile]:
    """The images of which the second is surest and wrong, and the first is right."""
    good, labels = _predictions(right)
    bad, _ = _predictions(wrong)
    found = np.flatnonzero((good.argmax(axis=1) == labels) & (bad.argmax(axis=1) != labels))
    order = found[np.argsort(-bad[found].max(axis=1), kind="stable")][:_EACH]
    names = right.trained.spec.labels
    made = []
    for at in map(int, order):
        taken = bad[at].argmax()
        said = (
            f"{right.facts.name} {100 * good[at, labels[at]]:.0f} %, {wrong.facts.name} "
            f"{names[taken]} {100 * bad[at, taken]:.0f} %"
        )
        image = right.selected.images[at].astype(np.float32)
        made.append(_picture(image, names[labels[at]], said))
    return made


def looked(seen: Seen, chosen: Sequence[int]) -> list[dict[str, Any]]:
    """For some images of the split that selected: itself, Grad-CAM, and the model's own maps."""
    labels = seen.selected.labels
    found, images = seen.looked(chosen)
    names = seen.trained.spec.labels
    shown = _first_and_last(found.attention)
    made = []
    for at, row in enumerate(chosen):
        true, predicted = names[labels[row]], names[found.predicted[at]]
        tiles = [_picture(images[at], true, "the image", f"{true}, as the model gets it")]
        if found.cam is not None:
            laid = _laid(seen, images[at], found.cam[at], str(seen.saliency.layer))
            said = f"what speaks for {predicted}"
            tiles.append(_picture(laid, "Grad-CAM", said, f"{true} under Grad-CAM"))
        for name, maps in shown.items():
            laid = _laid(seen, images[at], stretched(maps[at]), name)
            words = _readable(name)
            said = "the model's own, stretched"
            tiles.append(_picture(laid, words, said, f"{true} under {words}"))
        made.append({"title": f"{true}, taken for {predicted}", "tiles": tiles})
    return made


def _laid(seen: Seen, image: np.ndarray, heat: np.ndarray, layer: str) -> np.ndarray:
    return overlay(
        image,
        heat,
        image_size=seen.trained.spec.preprocessing.image_size,
        at_first_pixel=seen.saliency.at_first_pixel(layer),
    )


def samples(seen: Seen) -> list[dict[str, Any]]:
    """Some training images of each class."""
    return [
        {
            "title": label,
            "tiles": [
                _picture(image.astype(np.float32), "", "", f"{label}, training image {number}")
                for number, image in enumerate(images, 1)
            ],
        }
        for label, images in zip(seen.trained.spec.labels, seen.samples(_SAMPLES), strict=True)
    ]


def _readable(name: str) -> str:
    """The name of an intermediate in words."""
    for ending, words in _WORDS.items():
        if name.endswith(ending):
            where = name.removesuffix(ending).rstrip(".")
            return f"{words}, {where}" if where else words
    return name


def _predictions(seen: Seen) -> tuple[Float[np.ndarray, "N K"], Int[np.ndarray, " N"]]:
    facts = seen.facts
    return facts.selected.probabilities[facts.view], facts.selected.label


def one_of_each(seen: Seen) -> list[int]:
    """An image of each of the first classes, with a middling probability of its class."""
    rows, labels = _predictions(seen)
    made = []
    for label in np.unique(labels)[:_LOOKED]:
        own = np.flatnonzero(labels == label)
        order = own[np.argsort(rows[own, label], kind="stable")]
        made.append(int(order[len(order) * 2 // 3]))
    return made


def _first_and_last(attention: Any) -> dict[str, np.ndarray]:
    """The first and the last of the model's maps with more than a few places."""
    large = {name: maps for name, maps in attention.items() if min(maps.shape[1:]) >= 3}
    names = list(large)
    return {name: large[name] for name in dict.fromkeys([*names[:1], *names[-1:]])}


def _tile(seen: Seen, rows: Float[np.ndarray, "N K"], at: int) -> Tile:
    names = seen.trained.spec.labels
    true = names[seen.selected.labels[at]]
    order = np.argsort(-rows[at], kind="stable")[:2]
    said = ", ".join(f"{names[one]} {100 * rows[at, one]:.0f} %" for one in order)
    image = seen.selected.images[at].astype(np.float32)
    return _picture(image, true, said)


def _picture(image: np.ndarray, title: str, said: str, alt: str = "") -> Tile:
    """An image with words under it, which are the text in its place, too, unless `alt` is given."""
    pixels = image if image.dtype == np.uint8 else np.rint(image).astype(np.uint8)
    alt = alt or ": ".join(filter(None, (title, said)))
    return {"source": pages.picture(pixels, _MOST), "title": title, "said": said, "alt": alt}
