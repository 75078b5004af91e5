"""The look of every figure, and the figure as SVG and PNG.

A figure is drawn once, with its ink in one colour that nothing else has. In the SVG this colour
becomes `currentColor`: inside a page the figure then has the page's own colour of text, on a light
and on a dark ground. The PNG is black on white.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
import matplotlib.figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

# Okabe and Ito's colours, which people with any colour vision can tell apart, without yellow and
# black, which vanish on a light or on a dark ground.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
INK = "#123456"
_GRID = "#9aa0a8"
_DPI = 150
_LONGEST = 24  # characters of a name in a figure; the tables have it whole
_LEAST = 0.6  # of its width, that a figure keeps
_PIXELS = 118  # of a page for an inch of a figure: its text is then as large as the page's

_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "lines.linewidth": 1.8,
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
      name: names its files.
      alt: what it shows, for people who cannot see it.
      svg: to be put into a page, with `currentColor` as ink.
      png: black on white.
    """

    name: str
    alt: str
    svg: str
    png: bytes

    def svg_file(self) -> str:
        """The SVG as a file of its own, black on white."""
        return self.svg.replace("currentColor", "#000000").replace(
            'style="', 'style="background:#ffffff;', 1
        )


@contextlib.contextmanager
def drawing(width: float, height: float) -> Iterator[matplotlib.figure.Figure]:
    """A figure of this size in inches, to be drawn on in the look of all figures."""
    with matplotlib.rc_context(_STYLE):
        yield matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def finished(name: str, alt: str, drawn: matplotlib.figure.Figure) -> Figure:
    """The figure, as SVG and PNG; call it inside `drawing`."""
    salt = hashlib.sha256(name.encode()).hexdigest()[:8]
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        FigureCanvasSVG(drawn)
        text = io.StringIO()
        drawn.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, dpi=_DPI)
    FigureCanvasAgg(drawn)
    raster = io.BytesIO()
    _paint(drawn, "#000000")
    drawn.savefig(raster, format="png", dpi=_DPI, facecolor="#ffffff", metadata={"Software": None})
    width = _PIXELS * drawn.get_figwidth()
    # On a small screen it scrolls before its text becomes too small to be read.
    style = f"max-width:{width:.0f}px;min-width:{_LEAST * width:.0f}px"
    return Figure(name, alt, _inline(text.getvalue(), alt, salt, style), raster.getvalue())


def color(at: int) -> str:
    """Of a class, by its number."""
    return COLORS[at % len(COLORS)]


def marker(at: int) -> str:
    """Of a class, by its number; where the colours begin again, the shapes are shifted by one."""
    return MARKERS[(at + at // len(COLORS)) % len(MARKERS)]


def legible(name: str) -> str:
    """A name as it stands in a figure: long ones are cut, and none is hidden from a legend."""
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    # Matplotlib leaves names out of legends that begin with an underscore.
    return f"\N{ZERO WIDTH SPACE}{short}" if short.startswith("_") else short


def _paint(drawn: matplotlib.figure.Figure, color: str) -> None:
    """Gives everything that has the ink another colour."""
    for artist in drawn.findobj():
        for kind in ("color", "edgecolor", "facecolor"):
            get, put = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            if get is None or put is None:
                continue
            with contextlib.suppress(TypeError, ValueError):
                if matplotlib.colors.to_hex(get()) == INK:
                    put(color)


def _inline(text: str, alt: str, salt: str, style: str) -> str:
    """The svg element alone, with names of its own and a title that a screen reader reads."""
    text = text[text.index("<svg") :].strip()
    opening, _, rest = text.partition(">")
    text = re.sub(r' (?:width|height)="[^"]*"', "", opening) + ">" + rest
    # Parts of several figures on one page must not share a name.
    text = re.sub(r'\bid="', f'id="{salt}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{salt}-", text)
    title = alt.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    text = text.replace("<svg", f'<svg role="img" aria-label="{title}" style="{style}"', 1)
    return text.replace(INK, "currentColor")
