"""Rendered faces placed on photographs, with the place of each head."""

import os
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image

from ferjax.data.labels import FER2013
from ferjax.data.synthetic import action_units, draws, faces

FOLDER = os.path.join(os.path.dirname(skimage.__file__), "data")
# Photographs on which nobody is seen.
BACKGROUNDS = ("coffee.png", "chelsea.png", "rocket.jpg", "brick.png", "grass.png", "gravel.png")
NAMES = FER2013.names
SIZE = 640, 480
# Sides of the square images of faces, and how far they are turned.
SIDES, DEGREES = (70, 200), 30
# From the middle of the head to the middle between brow and chin, in halves of the head's width.
DOWN = 0.46


class Scene(NamedTuple):
    """A photograph with faces, their labels [N], and a square around each head.

    The square is as wide as the head, between brow and chin: left, top, right, bottom [N, 4].
    """

    photo: Image.Image
    labels: np.ndarray
    heads: np.ndarray


def photograph(name):
    return Image.open(os.path.join(FOLDER, name)).convert("RGB")


def view_of(index, seed):
    """The pose of a rendered face; see `faces.draw_view`."""
    example = draws.Draws.of([draws.philox(seed, 0, int(index))], 112)
    action_units.draw_activations(faces.labels_of(np.array([index])), example)
    return {
        name: float(value[0]) for name, value in faces.draw_view(example).items() if value.ndim == 1
    }


def head_of(index, seed):
    """Middle x, middle y and width of the head in a rendered image, in sides of the image."""
    view = view_of(index, seed)
    down, roll = DOWN * view["scale"], view["roll"]
    x = view["shift_x"] - down * np.sin(roll)
    y = view["shift_y"] + down * np.cos(roll)
    return (x + 1) / 2, (y + 1) / 2, view["scale"]


def scene(indices, seed, rng, *, most_degrees=DEGREES):
    """A scene of a few faces that do not overlap."""
    name = BACKGROUNDS[rng.integers(len(BACKGROUNDS))]
    photo = photograph(name).resize(SIZE, Image.Resampling.BILINEAR)
    taken, heads = [], []
    for index in indices:
        while True:  # also another size, as three large ones may have no room
            side = int(rng.integers(SIDES[0], SIDES[1] + 1))
            turn = rng.uniform(-most_degrees, most_degrees)
            radius = 0.5 * side * (abs(np.sin(np.radians(turn))) + np.cos(np.radians(turn)))
            at = rng.uniform(radius, np.array(SIZE) - radius)
            if all(max(abs(at - other)) > radius + far for other, far in taken):
                break
        taken.append((at, radius))
        pixels = faces.render_faces(np.array([index]), seed=seed, image_size=side, channels=3)[0]
        corner = np.round(at - side / 2)
        _paste(photo, pixels, corner, turn)
        x, y, width = head_of(index, seed)
        dx, dy = (x - 0.5) * side, (y - 0.5) * side
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        middle = corner + side / 2 + (dx * cos - dy * sin, dx * sin + dy * cos)
        heads.append([*(middle - width * side / 2), *(middle + width * side / 2)])
    return Scene(photo, faces.labels_of(np.array(indices)), np.array(heads))


def _paste(photo, pixels, corner, degrees):
    """Puts a square image on a photograph, turned clockwise around its middle."""
    side = len(pixels)
    around = np.ceil(side * 1.5).astype(int) // 2 * 2
    start = (around - side) // 2
    layer = Image.new("RGB", (around, around))
    layer.paste(Image.fromarray(pixels), (start, start))
    mask = Image.new("L", (around, around))
    mask.paste(255, (start, start, start + side, start + side))
    middle = (start + side / 2,) * 2
    layer, mask = (
        one.rotate(-degrees, Image.Resampling.BICUBIC, center=middle) for one in (layer, mask)
    )
    photo.paste(layer, tuple((corner - start).astype(int)), mask)


def overlaps(boxes, heads):
    """Intersection over union of N boxes with M squares, [N, M]."""
    boxes, heads = np.reshape(boxes, (-1, 1, 4)), np.reshape(heads, (1, -1, 4))
    low, high = np.maximum(boxes, heads)[..., :2], np.minimum(boxes, heads)[..., 2:]
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(one[..., 2:] - one[..., :2], axis=-1) for one in (boxes, heads)]
    return shared / (areas[0] + areas[1] - shared)


def hits(boxes, heads, least=0.35):
    """How many heads were found, each by a box of its own."""
    table, found = overlaps(boxes, heads), 0
    while table.size and table.max() >= least:
        box, head = np.unravel_index(table.argmax(), table.shape)
        table[box], table[:, head] = 0, 0
        found += 1
    return found
