"""What a classifier says: as arrays, as a table of text, and with pictures in a notebook.

Shapes: N images or faces, K classes, h w c the native shape of a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from ferjax.errors import one_line
from ferjax.inference.faces import annotated
from ferjax.inference.faces.seen import Found, Seen
from ferjax.inference.formats import box_text

# Images of which the text has a line and a notebook a picture.
SHOWN = 20
_PHOTO, _FACE = 640, 96  # pixels of the longer side in a notebook


class _Arrays(NamedTuple):
    probabilities: np.ndarray
    names: tuple[str, ...]


class Prediction(_Arrays):
    """The prediction for N faces; `probabilities, names = prediction` takes it apart.

    Attributes:
      probabilities: float32 [N, K]; every row sums to 1.
      names: the K class names, in the order of the columns.
      pictures: what the model saw of the first faces, uint8 [h, w, c] each.
    """

    pictures: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(
        cls,
        probabilities: np.ndarray,
        names: tuple[str, ...],
        pictures: Sequence[np.ndarray] | UInt8[np.ndarray, "N h w c"] = (),
    ) -> Prediction:
        """A prediction with pictures."""
        made = cls(probabilities, names)
        made.pictures = tuple(pictures)
        return made

    @property
    def labels(self) -> tuple[str, ...]:
        """The most probable class name of each face."""
        return tuple(self.names[best] for best in self.probabilities.argmax(axis=1))

    def __repr__(self) -> str:
        shown = self.probabilities[:SHOWN]
        heads = [str(number) for number in range(len(shown))]
        more = len(self.probabilities) - len(shown)
        return _table("image", heads, shown, self.names) + (
            f"\n... and {more:,} more" if more else ""
        )

    def _repr_html_(self) -> str:
        rows = zip(self.pictures, self.labels, self.probabilities, strict=False)
        cards = [
            _card(str(number), pixels, label, row, self.names)
            for number, (pixels, label, row) in enumerate(rows)
        ]
        return _html(cards, more=len(self.probabilities) - len(cards))


class Faces(Sequence[Found]):
    """The faces of one photograph, those of a high score first; see `Found`.

    Args:
      seen: the photograph and its faces.
      labels: the K class names.
    """

    def __init__(self, seen: Seen, labels: tuple[str, ...]):
        self._seen = seen
        self.labels = labels

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is worth saying about the photograph and its faces."""
        return self._seen.remarks

    def picture(self) -> Image.Image:
        """The photograph with a box around each face, and what the model sees and says of it."""
        assert self._seen.photo is not None
        return annotated.picture(self._seen.photo, self._seen.faces, self.labels)

    def __len__(self) -> int:
        return len(self._seen.faces)

    @overload
    def __getitem__(self, index: int) -> Found: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Found, ...]: ...
    def __getitem__(self, index: int | slice) -> Found | tuple[Found, ...]:
        return self._seen.faces[index]

    def __iter__(self) -> Iterator[Found]:
        return iter(self._seen.faces)

    def __repr__(self) -> str:
        name = one_line(self._seen.name)
        if not self:
            return f"{name}: no face"
        heads = [
            f"{number} at {box_text(found.face)}, score {found.face.score:.2f}"
            for number, found in enumerate(self, start=1)
            if found.face is not None
        ]
        rows = np.stack([found.probabilities for found in self])
        return f"{name}\n" + _table("face", heads, rows, self.labels)

    def _repr_html_(self) -> str:
        assert self._seen.photo is not None
        photo = annotated.marked(self._seen.photo, self._seen.faces)
        cards = [
            _card(str(number), found.pixels, found.label, found.probabilities, self.labels)
            for number, found in enumerate(self, start=1)
        ]
        return _html(cards[:SHOWN], photo=photo, more=len(cards) - SHOWN)


def _table(title: str, heads: Sequence[str], rows: np.ndarray, names: Sequence[str]) -> str:
    """Lines of text: what each image is, its most probable class, and percent of every class."""
    shown = [one_line(name) for name in names]
    first = [title, *heads]
    labels = ["expression", *(shown[best] for best in rows.argmax(axis=1))]
    left = [max(map(len, column)) for column in (first, labels)]
    widths = [max(len(name), 5) for name in shown]
    cells = [shown, *([f"{100 * value:.1f}" for value in row] for row in rows)]
    return "\n".join(
        "  ".join([head.ljust(left[0]), label.ljust(left[1]), *map(str.rjust, line, widths)])
        for head, label, line in zip(first, labels, cells, strict=True)
    )


def _card(
    title: str, pixels: np.ndarray, label: str, row: np.ndarray, names: Sequence[str]
) -> dict[str, object]:
    """What the page shows of one face."""
    from ferjax.cli import pages  # with Jinja, which a notebook alone needs

    bars = [
        {"name": name, "percent": f"{100 * value:.1f}", "is_best": name == label}
        for name, value in zip(names, row.tolist(), strict=True)
    ]
    return {"title": title, "picture": pages.picture(pixels, _FACE), "label": label, "bars": bars}


def _html(
    cards: Sequence[dict[str, object]], *, photo: Image.Image | None = None, more: int = 0
) -> str:
    from ferjax.cli import pages

    picture = "" if photo is None else pages.picture(np.asarray(photo), _PHOTO)
    page = pages.template("ferjax.inference", "results.html")
    return page.render(cards=cards, photo=picture, more=max(more, 0), side=_FACE)
