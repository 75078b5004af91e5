"""Recognises a run whose features have collapsed: it does no better than class frequencies.

A model that ignores its input can at best give each class its frequency; its cross-entropy is then
the entropy of the frequencies. A run that still has this loss after two epochs has learned nothing
yet; a short run may recover, and its result lists the epochs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ml_collections import ConfigDict, FrozenConfigDict

FIRST_EPOCH = 2
SHARE = 0.96
# As L2 in the gradient, more than this forgets faster than a run learns.
_STRONG_DECAY = 0.01
# The center loss adds up squares over some hundred features.
_STRONG_PULL = 0.02


def entropy(counts: Sequence[int]) -> float:
    """The entropy of class frequencies in nats; classes without an example add nothing."""
    total = sum(counts)
    return -sum(count / total * math.log(count / total) for count in counts if count)


def collapsed(epoch: int, loss: float, counts: Sequence[int]) -> bool:
    """Whether an epoch, 1-based, ended no better than class frequencies alone.

    Args:
      epoch: before `FIRST_EPOCH` nothing is concluded.
      loss: mean cross-entropy of validation, without smoothing or mixing.
      counts: how many validation examples each class has. One class alone has no entropy, and
        nothing is concluded.
    """
    bound = SHARE * entropy(counts)
    return epoch >= FIRST_EPOCH and bound > 0.0 and not loss < bound


def explain(loss: float, counts: Sequence[int], config: ConfigDict | FrozenConfigDict) -> str:
    """One line that names the likely cause and the field to change."""
    found = (
        f"The model does no better than class frequencies alone: validation cross-entropy "
        f"{loss:.3f}, theirs {entropy(counts):.3f}."
    )
    optimizer, objective = config.optimizer, config.loss
    if optimizer.weight_decay > _STRONG_DECAY and optimizer.name == "sgd":
        return (
            f"{found} Likely cause: optimizer.weight_decay={optimizer.weight_decay:g} shrinks the "
            "weights faster than they learn; try 5e-4."
        )
    squares = objective.center_distance == "squared" and objective.center_reduction != "element"
    if objective.name != "softmax" and squares and objective.weight > _STRONG_PULL:
        return (
            f"{found} Likely cause: loss.weight={objective.weight:g} (lambda) pulls the features "
            "onto their centres before the classes are apart; try 0.01 (preset=cai2018), or "
            "loss.center_reduction=element."
        )
    return (
        f"{found} Likely cause: optimizer.learning_rate={optimizer.learning_rate:g}; try a tenth "
        "of it, or ten times as much where the training loss hardly moves."
    )
