"""Pictures that need nothing but Pillow: rows of images, and a confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

_SIDE, _GAP, _HEAD = 96, 4, 14  # pixels
_SMOOTH = Image.Resampling.BICUBIC
_INK, _PAPER = (32,) * 3, (255,) * 3
_CELL, _FONT, _COUNT_FONT = 64, 14, 11  # of a confusion matrix
_MOST_NUMBERED, _SMALL = 20, 12  # classes with room for numbers and names; cells without
_FULL = np.array((8, 69, 148))  # the colour of a cell with all of its row
_DARK = 0.5  # from this share of its row on, a cell has light text


def rows_of_images(rows: Sequence[tuple[str, Sequence[UInt8[np.ndarray, "H W C"]]]]) -> bytes:
    """A PNG with a line of text and a row of images, grey or RGB, for each (text, images)."""
    columns = max(len(images) for _, images in rows)
    size = (columns * (_SIDE + _GAP) + _GAP, len(rows) * (_SIDE + _GAP + _HEAD) + _GAP)
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    for row, (text, images) in enumerate(rows):
        top = row * (_SIDE + _GAP + _HEAD) + _GAP
        draw.text((_GAP, top), text, fill=_INK)
        for column, image in enumerate(images):
            pixels = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
            shown = ImageOps.contain(Image.fromarray(pixels), (_SIDE, _SIDE), _SMOOTH)
            page.paste(shown, (_GAP + column * (_SIDE + _GAP), top + _HEAD))
    return _png(page)


def confusion(matrix: Int[np.ndarray, "K K"], labels: Sequence[str]) -> bytes:
    """A PNG of a confusion matrix: rows are true classes, with percent of the row and counts.

    Of more than 20 classes it has the colours alone.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colors = np.rint(255 + (_FULL - 255) * shares[..., None]).astype(np.uint8)
    side = _CELL if len(labels) <= _MOST_NUMBERED else _SMALL
    cells = np.repeat(np.repeat(colors, side, axis=0), side, axis=1)
    cells[side - 1 :: side] = cells[:, side - 1 :: side] = 255
    if side == _SMALL:
        return _png(Image.fromarray(cells))
    font, small = ImageFont.load_default(_FONT), ImageFont.load_default(_COUNT_FONT)
    left = _GAP * 3 + max(int(font.getlength(label)) for label in labels)
    top = _FONT * 2 + _GAP * 5
    page = Image.new("RGB", (left + cells.shape[1], top + cells.shape[0]), _PAPER)
    page.paste(Image.fromarray(cells), (left, top))
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, _GAP), "rows: true, columns: predicted", fill=_INK, font=small)
    for at, label in enumerate(labels):
        middle = _CELL * at + _CELL // 2
        draw.text((left - _GAP, top + middle), label, fill=_INK, font=font, anchor="rm")
        draw.text(
            (left + middle, top - _GAP), _short(label, font), fill=_INK, font=font, anchor="ms"
        )
    for (row, column), share in np.ndenumerate(shares):
        x, y = (_CELL * at + _CELL // 2 for at in (column, row))
        ink = _PAPER if share >= _DARK else _INK
        where = (left + x, top + y)
        draw.text(where, f"{100 * share:.0f} %", fill=ink, font=font, anchor="ms")
        below = (where[0], where[1] + _GAP)
        draw.text(below, f"{matrix[row, column]}", fill=ink, font=small, anchor="ma")
    return _png(page)


def _short(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of a label as stands over a cell."""
    while label and font.getlength(label) > _CELL - 2:
        label = label[:-1]
    return label


def _png(page: Image.Image) -> bytes:
    file = io.BytesIO()
    page.save(file, "PNG", optimize=True)
    return file.getvalue()
