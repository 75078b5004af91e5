"""How the features of a split lie around their class means, and where the centres lie.

These numbers measure the aims of the center and the island loss: class means that point apart,
features close to their own mean, centres at their classes. Shapes: B batch, K classes, D features.
"""

from __future__ import annotations

import dataclasses
from typing import TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Of the sum of squares: a variance within classes of less is rounding of float32.
_ROUNDING = 1e-6


class Geometry(TypedDict):
    """Figures of one pass; classes without an example are left out of each.

    `mean_pairwise_cosine` and `center_pairwise_cosine`: `losses.pairwise_cosine` of the class means
    and of the centres (None without centres), the sum over ordered pairs of cos + 1: at most
    2 K (K - 1); 42 if 7 of them are orthogonal. `between_within_variance`: variance of the class
    means about the mean of all features, divided by the variance of the features about their class
    means; None where that is rounding, as for one example of each class. `center_offset`: the
    median over classes of |c_j - m_j| / |m_j|, with the centre c_j and the class mean m_j.
    """

    mean_pairwise_cosine: float
    center_pairwise_cosine: float | None
    between_within_variance: float | None
    center_offset: float | None


def batch_sums(
    features: Float[Array, "B D"],
    labels: Int[Array, " B"],
    mask: Bool[Array, " B"],
    num_classes: int,
) -> Float[Array, "K D+2"]:
    """The sums of a batch for each class; examples outside of the mask count nothing.

    The columns are the sum of the features, the sum of their squared norms, and the number of
    examples: one array, so that devices add up once.
    """
    members = jax.nn.one_hot(labels, num_classes, dtype=jnp.float32)
    members = members * mask[:, None].astype(jnp.float32)
    squares = jnp.sum(jnp.square(features), axis=1, keepdims=True)
    columns = jnp.concatenate([features, squares, jnp.ones_like(squares)], axis=1)
    return jnp.dot(members.T, columns, precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass
class Accumulator:
    """Keeps the sums of batches, and adds them up in float64 on the host when asked."""

    _batches: list[Array] = dataclasses.field(default_factory=list)

    def add(self, sums: Float[Array, "K columns"]) -> None:
        """Takes one batch, without waiting for the device."""
        self._batches.append(sums)

    def compute(self, centers: Float[Array, "K D"] | None) -> Geometry:
        """The figures of what was added.

        Raises:
          ValueError: nothing was added.
        """
        if not self._batches:
            raise ValueError("the geometry of no example is not defined")
        total = np.sum(np.asarray(jax.device_get(self._batches), np.float64), axis=0)
        sums, squares, counts = total[:, :-2], total[:, -2], total[:, -1]
        present = counts > 0
        counts, sums = counts[present], sums[present]
        means = sums / counts[:, None]
        overall = sums.sum(axis=0) / counts.sum()
        between = float(counts @ np.sum(np.square(means - overall), axis=1))
        within = float(squares.sum() - counts @ np.sum(np.square(means), axis=1))
        least = _ROUNDING * float(squares.sum())
        found = Geometry(
            mean_pairwise_cosine=pairwise_cosine(means),
            center_pairwise_cosine=None,
            between_within_variance=between / within if within > least else None,
            center_offset=None,
        )
        if centers is not None:
            own = np.asarray(jax.device_get(centers), np.float64)[present]
            lengths = np.maximum(np.linalg.norm(means, axis=1), np.finfo(np.float64).tiny)
            found["center_pairwise_cosine"] = pairwise_cosine(own)
            found["center_offset"] = float(np.median(np.linalg.norm(own - means, axis=1) / lengths))
        return found


def pairwise_cosine(vectors: Float[np.ndarray, "K D"]) -> float:
    """`losses.pairwise_cosine` in float64 on the host; a zero vector has cosine 0 to the others."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    cosines = units @ units.T + 1.0
    return float(cosines.sum() - np.trace(cosines))
