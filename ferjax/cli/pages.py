"""Pages for a browser: one look for all, nothing to fetch, no scripts; every text is escaped."""

from __future__ import annotations

import base64
import functools
import io
from importlib import resources

import jinja2
import numpy as np
from PIL import Image

# The macros that every page shares, as in `{% from "look.html" import start, table %}`.
_LOOK = "look.html"


@functools.cache
def template(package: str, name: str) -> jinja2.Template:
    """The page template of a package, which may import `look.html`."""
    texts = {
        one: (resources.files(where) / one).read_text(encoding="utf-8")
        for where, one in ((__package__, _LOOK), (package, name))
    }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.DictLoader(texts)
    )
    return environment.get_template(name)


def picture(image: np.ndarray, most: int) -> str:
    """A data: URI of a uint8 [H, W, 1 or 3] image, a PNG of at most `most` pixels a side."""
    made = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    made.thumbnail((most, most))
    file = io.BytesIO()
    made.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
