"""Photographs with a box around each face, and what a model sees and says of it.

Shapes: h w c the native shape of a model, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from ferjax.errors import one_line
from ferjax.inference.faces.seen import Found
from ferjax.inference.reading import Photo

_MOST = 1600  # pixels of the longer side of the photograph
_LEAST_WIDTH = 660  # of the picture: two cards
_PAPER, _INK, _FAINT, _BAR, _BEST = "#ffffff", "#20262c", "#e4e8ec", "#8c96a0", "#0072b2"
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
_FACE, _GAP, _LINE, _FONT = 96, 12, 17, 13  # pixels of a card
_BAR_WIDTH, _PERCENT_WIDTH, _MOST_CHARACTERS = 80, 42, 16
# Faces that have a card, and classes that have a bar, the most probable ones; a picture with more
# could not be looked at.
_MOST_CARDS, _MOST_BARS = 40, 14


def picture(photo: Photo, faces: Sequence[Found], labels: Sequence[str]) -> Image.Image:
    """The photograph with its faces marked, and below it a card of each of the first ones: RGB."""
    shown, more = marked(photo, faces), len(faces) - _MOST_CARDS
    faces = faces[:_MOST_CARDS]
    font = ImageFont.load_default(_FONT)
    names = [_short(label) for label in labels]
    name_width = max(int(font.getlength(name)) for name in names) + _GAP
    size = (
        _FACE + _GAP + name_width + _BAR_WIDTH + _PERCENT_WIDTH,
        max(_FACE + 2 * _LINE, min(len(labels), _MOST_BARS) * _LINE + _LINE),
    )
    width = max(shown.width, min(_LEAST_WIDTH, (size[0] + _GAP) * max(len(faces), 1) + _GAP))
    columns = max(1, (width - _GAP) // (size[0] + _GAP))
    rows = -(-len(faces) // columns)
    height = shown.height + rows * (size[1] + _GAP) + _GAP + (_LINE if more > 0 else 0)
    page = Image.new("RGB", (width, height), _PAPER)
    page.paste(shown, ((width - shown.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    for number, found in enumerate(faces):
        row, column = divmod(number, columns)
        corner = (
            _GAP + column * (size[0] + _GAP),
            shown.height + _GAP + row * (size[1] + _GAP),
        )
        _card(page, draw, corner, number, found, names, name_width)
    if more > 0:
        place = (_GAP, height - _LINE - _GAP // 2)
        draw.text(place, f"and {more:,} more faces", font=font, fill=_INK)
    return page


def marked(photo: Photo, faces: Sequence[Found]) -> Image.Image:
    """The photograph with a box around each face and its expression: RGB."""
    shown = photo.image.copy()
    shown.thumbnail((_MOST, _MOST))
    scale = shown.width / (photo.image.width * photo.scale)
    line = max(2, round(max(shown.size) / 400))
    font = ImageFont.load_default(max(_FONT, round(max(shown.size) / 55)))
    draw = ImageDraw.Draw(shown)
    # The best last, over the others.
    for number, found in reversed(list(enumerate(faces))):
        if found.face is None:
            continue
        color = _COLORS[number % len(_COLORS)]
        left, top, right, bottom = (scale * edge for edge in found.face.box)
        draw.rectangle((left, top, right, bottom), outline="#ffffff", width=line + 2)
        draw.rectangle((left + 1, top + 1, right - 1, bottom - 1), outline=color, width=line)
        text = f"{number + 1}  {_short(found.label)} {100 * found.probabilities.max():.0f} %"
        _chip(draw, shown.size, (left, top, bottom), text, font, color)
    return shown


def _chip(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    edges: tuple[float, float, float],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    color: str,
) -> None:
    """A line of text on a coloured ground, above a box or, without room there, below it."""
    left, top, bottom = edges
    _, _, width, height = draw.textbbox((0, 0), text, font=font)
    width, height = width + 10, height + 6
    x = min(max(left, 0), max(size[0] - width, 0))
    y = top - height if top >= height else min(bottom, size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=color)
    draw.text((x + 5, y + 2), text, font=font, fill="#ffffff")


def _card(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    number: int,
    found: Found,
    names: Sequence[str],
    name_width: int,
) -> None:
    """What the model sees of a face, and its probabilities as bars."""
    left, top = corner
    font = ImageFont.load_default(_FONT)
    page.paste(_thumbnail(found.pixels), corner)
    color = _COLORS[number % len(_COLORS)]
    draw.rectangle((left, top, left + _FACE - 1, top + _FACE - 1), outline=color, width=2)
    under = f"{number + 1}  {_short(found.label)}"
    draw.text((left, top + _FACE + 4), under, font=font, fill=_INK)
    start = left + _FACE + _GAP
    bars = list(zip(names, found.probabilities.tolist(), strict=True))
    if len(bars) > _MOST_BARS:
        bars = sorted(bars, key=lambda one: -one[1])[:_MOST_BARS]
    for line, (name, value) in enumerate(bars):
        y = top + line * _LINE
        bar = start + name_width
        best = value == found.probabilities.max()
        draw.text((start, y), name, font=font, fill=_INK)
        draw.rectangle((bar, y + 3, bar + _BAR_WIDTH, y + _LINE - 4), fill=_FAINT)
        end = bar + round(_BAR_WIDTH * value)
        draw.rectangle((bar, y + 3, end, y + _LINE - 4), fill=_BEST if best else _BAR)
        right = bar + _BAR_WIDTH + _PERCENT_WIDTH
        draw.text((right, y), f"{100 * value:.0f} %", font=font, fill=_INK, anchor="ra")


def _thumbnail(pixels: UInt8[np.ndarray, "h w c"]) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    return image.resize((_FACE, _FACE), Image.Resampling.NEAREST)


def _short(label: str) -> str:
    label = one_line(label)
    return label if len(label) <= _MOST_CHARACTERS else f"{label[: _MOST_CHARACTERS - 1]}…"
