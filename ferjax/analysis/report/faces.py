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
_LOOKED = 6
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


def looked(seen: Seen, chosen: Sequence[int]) -> dict[str, Any]:
    """For some images of the split that selected: itself, Grad-CAM, and the model's own maps."""
    labels = seen.selected.labels
    found, images = seen.looked(chosen)
    saliency = seen.saliency
    names = seen.trained.spec.labels
    shown = _last_maps(found.attention)
    made = []
    for at, row in enumerate(chosen):
        tiles = [_picture(images[at], f"{names[labels[row]]}", "the image")]
        laid = overlay(images[at], found.cam[at], saliency.at_first_pixel(saliency.layer))
        tiles.append(_picture(laid, "Grad-CAM", f"what speaks for {names[found.predicted[at]]}"))
        for name, maps in shown.items():
            heat = stretched(maps[at])
            laid = overlay(images[at], heat, saliency.at_first_pixel(name))
            tiles.append(_picture(laid, _readable(name), "the model's own, stretched"))
        made.append(
            {
                "title": f"{names[labels[row]]}, taken for {names[found.predicted[at]]}",
                "tiles": tiles,
            }
        )
    return {"layer": saliency.layer, "rows": made}


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
    """An image of each class, with a middling probability of its class: neither best nor worst."""
    rows, labels = _predictions(seen)
    made = []
    for label in np.unique(labels)[: _LOOKED + 2]:
        own = np.flatnonzero(labels == label)
        order = own[np.argsort(rows[own, label], kind="stable")]
        made.append(int(order[len(order) * 2 // 3]))
    return made


def _last_maps(attention: Any) -> dict[str, np.ndarray]:
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
