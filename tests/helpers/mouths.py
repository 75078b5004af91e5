"""Synthetic faces of two classes that the mouth alone tells apart, and where their mouths are."""

from __future__ import annotations

import io
from unittest import mock

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from ferjax.data.synthetic import action_units, faces

NAMES = ("frown", "smile")
_CORNERS_DOWN, _CORNERS_UP = 15, 12
_PLAIN = {"scale": 0.8, "contrast": 1.0, "brightness": 0.0, "blur": 0.0, "noise": 0.0}
_PLAIN |= {"ambient": 0.6, "diffuse": 0.4, "edge_at": 9.0, "blob_radius": -9.0}
_BELOW_THE_NOSE = 10  # the units from here on move the mouth


def render(
    indices: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"]
) -> UInt8[np.ndarray, "N 48 48 1"]:
    """Faces whose brows, lids and noses are moved at random, and whose mouths show the label."""
    drawn = action_units.draw_activations
    left = iter(labels.tolist())  # the renderer asks for one block of images after another

    def moved(expressions, draws):
        found = dict(drawn(expressions, draws))
        smiles = np.array([next(left) for _ in expressions]) == NAMES.index("smile")
        for unit in found:
            if unit >= _BELOW_THE_NOSE:
                found[unit] = np.zeros(len(expressions))
        found[_CORNERS_UP], found[_CORNERS_DOWN] = 1.0 * smiles, 1.0 * ~smiles
        return found

    def plain(draws):
        """Nearly from the front, in even light, and nothing before the face."""
        found = dict(view(draws))
        for name in ("roll", "yaw", "pitch", "asymmetry"):
            found[name] = 0.3 * found[name]
        for name, value in _PLAIN.items():
            found[name] = np.full_like(found[name], value)
        return found

    view = faces.draw_view
    with (
        mock.patch.object(action_units, "draw_activations", moved),
        mock.patch.object(faces, "draw_view", plain),
    ):
        return faces.render_faces(indices)


def where(indices: Int[np.ndarray, " N"]) -> Bool[np.ndarray, "N 48 48"]:
    """The box around the pixels in which the two classes of the same face differ."""
    frown, smile = (render(indices, np.full(len(indices), label)) for label in (0, 1))
    differs = np.abs(frown.astype(int) - smile).max(axis=3) > 8
    boxes = np.zeros_like(differs)
    for box, found in zip(boxes, differs, strict=True):
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        if len(rows):
            box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return boxes


def files(count: int) -> dict[str, bytes]:
    """Name -> bytes of `count` images in folders by class."""
    indices = np.arange(count)
    labels = np.random.default_rng(0).integers(0, len(NAMES), count)
    made = {}
    for index, label, image in zip(indices, labels, render(indices, labels), strict=True):
        file = io.BytesIO()
        Image.fromarray(image[..., 0]).save(file, "PNG")
        made[f"{NAMES[label]}/{index}.png"] = file.getvalue()
    return made
