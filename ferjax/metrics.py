"""Classification metrics from one mergeable state: a confusion matrix and a sum of losses.

States are built per batch on the device, merged in any order, fetched once, and only then turned
into numbers. Counts are integers, so no count is rounded however many examples are seen.

Shapes: B batch, K classes. Rows of a confusion matrix are true classes, columns predicted ones.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped
from scipy import special


class Rates(TypedDict):
    """The rates of a confusion matrix, fractions in [0, 1].

    `macro_f1` is the mean F1 of all K classes, `macro_f1_present` the mean over the classes that
    have examples. If the data cannot have a class, such as another data set, `macro_f1` is below 1.
    `balanced_accuracy` is the mean recall of the classes that have examples.
    """

    num_examples: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    macro_f1_present: float
    per_class_recall: list[float]
    per_class_precision: list[float]
    per_class_f1: list[float]
    confusion: list[list[int]]


class Metrics(Rates):
    """The metrics of a state, in plain Python values.

    `loss` is the mean of the losses that were counted; in an evaluation it is the negative
    log-likelihood, scikit-learn's `log_loss`.
    """

    loss: float


class ConfusionState(NamedTuple):
    """Counts over the examples seen so far; a pytree that can cross `jit`.

    Attributes:
        confusion: int32 [K, K]; entry (i, j) counts examples of class i taken for class j.
        loss_sum: float32 scalar, the sum (not the mean) of the losses of those examples.
    """

    confusion: Array
    loss_sum: Array

    @classmethod
    def empty(cls, num_classes: int) -> "ConfusionState":
        """The state of no example: `empty(K).merge(state)` equals `state`."""
        return cls(
            jnp.zeros((num_classes, num_classes), jnp.int32),
            jnp.zeros((), jnp.float32),
        )

    @classmethod
    def from_batch(
        cls,
        scores: Float[Array, "B K"],
        labels: Int[Array, "B"],
        losses: Float[Array, "B"],
        mask: Bool[Array, "B"] | None = None,
    ) -> "ConfusionState":
        """Counts one batch.

        Args:
            scores: logits or probabilities [B, K]; the prediction is the largest of a row, the
                first of them where several are equal.
            labels: true classes [B], each in 0..K-1. They are not read where the mask is False.
            losses: loss of each example [B]; may hold NaN where the mask is False.
            mask: [B], False for rows of padding, which count nothing. None counts every row.
        """
        num_classes = scores.shape[1]
        if mask is None:
            mask = jnp.ones(labels.shape, bool)
        # A product of one-hot rows rather than a scatter: over a sharded batch it is a local
        # sum and one small all-reduce.
        true = jax.nn.one_hot(labels, num_classes, dtype=jnp.int32) * mask[:, None]
        predicted = jax.nn.one_hot(jnp.argmax(scores, axis=1), num_classes, dtype=jnp.int32)
        confusion = jnp.einsum("bi,bj->ij", true, predicted)
        loss_sum = jnp.sum(jnp.where(mask, losses.astype(jnp.float32), 0.0))
        return cls(confusion, loss_sum)

    def merge(self, other: "ConfusionState") -> "ConfusionState":
        """The state of both sets of examples; commutative, and exact in the counts."""
        return ConfusionState(self.confusion + other.confusion, self.loss_sum + other.loss_sum)

    @property
    def num_examples(self) -> Array:
        """How many examples were counted, int32 scalar."""
        return self.confusion.sum()

    def compute(self) -> Metrics:
        """Fetches the state and returns its numbers, computed in float64 on the host.

        Recall of a class that no example has, precision of a class that was never predicted, and
        F1 where both the class and its prediction are absent count as 0 and stay in the macro
        average over all K classes: scikit-learn's `zero_division=0` with `labels=range(K)`. The
        average over the classes present corresponds to `labels=numpy.unique(true_classes)`, and
        `balanced_accuracy` is scikit-learn's `balanced_accuracy_score`.

        Raises:
            ValueError: no example was counted, so that no rate is defined.
        """
        confusion = np.asarray(self.confusion, np.int64)
        total = int(confusion.sum())
        if total == 0:
            raise ValueError("metrics of an empty state: no example was counted")
        return Metrics(**rates(confusion), loss=float(self.loss_sum) / total)


def rates(confusion: Int[np.ndarray, "K K"]) -> Rates:
    """The rates of a confusion matrix that counts at least one example."""
    total, hits = int(confusion.sum()), np.diag(confusion)
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = f1_scores(confusion)
    return Rates(
        num_examples=total,
        accuracy=int(hits.sum()) / total,
        balanced_accuracy=float(balanced_accuracy(confusion)),
        macro_f1=float(f1.mean()),
        macro_f1_present=float(f1[true > 0].mean()),
        per_class_recall=_ratio(hits, true).tolist(),
        per_class_precision=_ratio(hits, predicted).tolist(),
        per_class_f1=f1.tolist(),
        confusion=confusion.tolist(),
    )


def f1_scores(confusion: Shaped[np.ndarray, "... K K"]) -> Float[np.ndarray, "... K"]:
    """The F1 of each class, of each of a stack of confusion matrices; 0 where it is undefined."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return _ratio(2 * hits, confusion.sum(axis=-1) + confusion.sum(axis=-2))


def balanced_accuracy(confusion: Shaped[np.ndarray, "... K K"]) -> Float[np.ndarray, "..."]:
    """The mean recall of the classes that have examples, likewise; each matrix has an example."""
    true = confusion.sum(axis=-1)
    recall = _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), true)
    return np.asarray(recall.sum(axis=-1) / (true > 0).sum(axis=-1))


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent examples; `total` is at least 1."""
    from scipy import stats  # which takes a second to import, and most commands do not need it

    found = stats.binomtest(hits, total).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


class SeedSummary(TypedDict):
    """Several runs that differ in their seed alone."""

    n: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None


def mean_sd_ci(values: Sequence[float]) -> SeedSummary:
    """Mean, sample standard deviation (n - 1) and 95 % confidence interval of the mean.

    The interval is Student's, mean +- t(0.975, n-1) * sd / sqrt(n): with three seeds t is 4.30,
    so it is wide, as it should be. With one value the deviation and the interval are None.

    Raises:
        ValueError: `values` is empty.
    """
    if not values:
        raise ValueError("mean_sd_ci needs at least one value")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return SeedSummary(n=1, mean=mean, sd=None, ci95=None)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(special.stdtrit(n - 1, 0.975)) * sd / math.sqrt(n)
    return SeedSummary(n=n, mean=mean, sd=sd, ci95=(mean - half, mean + half))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise numerator / denominator in float64, and 0 where the denominator is 0."""
    out = np.zeros(numerator.shape, np.float64)
    np.divide(numerator, denominator, out=out, where=denominator != 0)
    return out
