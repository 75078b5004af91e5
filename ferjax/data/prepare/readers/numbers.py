"""Numbers as programs write them into data sets.

Python's `int` and `float` also take 1_0, +5 and the digits of other scripts: no copy of a data set
has these, and to read them would be to guess.
"""

import math
import re
from collections.abc import Sequence

_REAL = re.compile(r"-?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]{1,3})?", re.IGNORECASE | re.ASCII)


def whole(texts: Sequence[str], most: int) -> list[int] | None:
    """The whole numbers from 0 to `most` that texts of the digits 0 to 9 are, or None."""
    joined = "".join(texts)
    if not (joined.isascii() and joined.isdigit() and all(texts)):
        return None
    # No more digits than `int` converts quickly.
    if max(map(len, texts)) > len(str(most)):
        return None
    numbers = list(map(int, texts))
    return numbers if max(numbers) <= most else None


def real(text: str) -> float | None:
    """The finite number that a text such as -1.5 or 3.0e+00 is, or None."""
    value = float(text) if _REAL.fullmatch(text.strip()) else math.nan
    return value if math.isfinite(value) else None
