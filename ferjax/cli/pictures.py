"""Pictures that need nothing but Pillow: rows of images, and a confusion matrix."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageDraw, ImageFont

_SIDE, _GAP, _HEAD = 96, 4, 14  # pixels
_INK, _PAPER = (32,) * 3, (255,) * 3
_CELL, _FONT, _COUNT_FONT = 64, 14, 11  # of a confusion matrix
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
            shown = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
            page.paste(shown, (_GAP + column * (_SIDE + _GAP), top + _HEAD))
    return _png(page)


def confusion(matrix: Int[np.ndarray, "K K"], labels: Sequence[str]) -> bytes:
    """A PNG of a confusion matrix: rows are true classes, with percent of the row and counts."""
    font, small = ImageFont.load_default(_FONT), ImageFont.load_default(_COUNT_FONT)
    left = _GAP * 3 + max(int(font.getlength(label)) for label in labels)
    top = _FONT * 2 + _GAP * 5
    page = Image.new("RGB", (left + _CELL * len(labels), top + _CELL * len(labels)), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, _GAP), "rows: true, columns: predicted", fill=_INK, font=small)
    for at, label in enumerate(labels):
        middle = _CELL * at + _CELL // 2
        draw.text((left - _GAP, top + middle), label, fill=_INK, font=font, anchor="rm")
        draw.text(
            (left + middle, top - _GAP), _short(label, font), fill=_INK, font=font, anchor="ms"
        )
        total = max(int(matrix[at].sum()), 1)
        for column, count in enumerate(matrix[at].tolist()):
            share = count / total
            corner = (left + _CELL * column, top + _CELL * at)
            fill = tuple(np.rint(255 + (_FULL - 255) * share).astype(int).tolist())
            draw.rectangle((*corner, corner[0] + _CELL - 2, corner[1] + _CELL - 2), fill=fill)
            ink = _PAPER if share >= _DARK else _INK
            x, y = corner[0] + _CELL // 2, corner[1] + _CELL // 2
            draw.text((x, y), f"{100 * share:.0f} %", fill=ink, font=font, anchor="ms")
            draw.text((x, y + _GAP), f"{count}", fill=ink, font=small, anchor="ma")
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
