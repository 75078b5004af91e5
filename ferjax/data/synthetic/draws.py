"""Random numbers that depend on (seed, stream, index) alone: one Philox counter per example.

Only `random_raw` of the bit generator is used, the part of NumPy's random module whose output never
changes between releases. B batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float32, Float64

_TWO_TO_MINUS_53 = 2.0**-53


def philox(seed: int, stream: int, index: int) -> np.random.Philox:
    """The bit generator of one example.

    Args:
      seed: the seed of the data set, 0 <= seed < 2**63.
      stream: 0 or 1, two unrelated sequences for the same index.
      index: 0 <= index < 2**63.
    """
    return np.random.Philox(key=np.array([seed, 2 * index + stream], np.uint64))


def uniforms(generator: np.random.Philox, count: int) -> Float64[np.ndarray, "count"]:
    """`count` numbers, uniform in [0, 1)."""
    return (generator.random_raw(count) >> np.uint64(11)) * _TWO_TO_MINUS_53


def gaussians(generator: np.random.Philox, count: int) -> Float32[np.ndarray, "count"]:
    """`count` nearly normal numbers (a sum of four bytes), mean 0, variance 1.

    Cheaper than a true normal and free of functions whose last bit differs between processors.
    """
    words = generator.random_raw((count + 1) // 2).astype("<u8")
    quads = words.view(np.uint8).reshape(-1, 4)[:count].astype(np.float32)
    total = quads[:, 0] + quads[:, 1] + quads[:, 2] + quads[:, 3]
    return (total - np.float32(510.0)) * np.float32(1.0 / 147.8)


class Draws:
    """A table of uniform numbers, one row per example, handed out column by column.

    The columns are consumed in program order, so a value depends on its row and its place in the
    program and never on the other rows.
    """

    def __init__(self, table: Float64[np.ndarray, "B N"]):
        self._table = table
        self._next = 0

    @classmethod
    def of(cls, generators: Iterable[np.random.Philox], columns: int) -> Draws:
        """The first `columns` uniforms of every generator."""
        return cls(np.stack([uniforms(generator, columns) for generator in generators]))

    def unit(self) -> Float64[np.ndarray, "B"]:
        """Uniform in [0, 1)."""
        self._next += 1
        return self._table[:, self._next - 1]

    def uniform(self, low: float, high: float) -> Float64[np.ndarray, "B"]:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def peaked(self, low: float, high: float) -> Float64[np.ndarray, "B"]:
        """Triangular on [low, high): most values near the middle."""
        return low + (high - low) * 0.5 * (self.unit() + self.unit())

    def chance(self, probability: float) -> Bool[np.ndarray, "B"]:
        """True with the given probability."""
        return self.unit() < probability
