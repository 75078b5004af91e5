"""The seven expressions as facial action units (FACS), after the EMFACS prototypes.

An action unit (AU) is the visible effect of one facial muscle group (Ekman and Friesen 1978; Ekman,
Friesen and Hager 2002). EMFACS names the combinations that signal an emotion; each prototype below
has the units that belong to it and units that may join it. Intensities run from 0 (absent) to 1
(extreme). B batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int

from ferjax.data.labels import FER2013
from ferjax.data.synthetic.draws import Draws

ACTION_UNITS: Mapping[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
}


@dataclasses.dataclass(frozen=True)
class Prototype:
    """One expression, as AU number -> typical intensity.

    Attributes:
      core: the units that make the expression.
      optional: units that sometimes join it.
    """

    core: Mapping[int, float]
    optional: Mapping[int, float]


PROTOTYPES: Mapping[str, Prototype] = {
    "angry": Prototype({4: 1.0, 5: 0.5, 7: 0.8, 23: 0.9}, {10: 0.35, 17: 0.5, 25: 0.5}),
    "disgust": Prototype({9: 1.0, 10: 0.8}, {7: 0.5, 15: 0.4, 17: 0.5, 25: 0.5}),
    "fear": Prototype({1: 0.9, 2: 0.6, 4: 0.6, 5: 0.9, 20: 0.9, 25: 0.6}, {26: 0.4}),
    "happy": Prototype({6: 0.8, 12: 1.0}, {25: 0.8, 26: 0.3}),
    "sad": Prototype({1: 0.9, 4: 0.5, 15: 1.0}, {6: 0.3, 17: 0.6, 25: 0.3}),
    "surprise": Prototype({1: 1.0, 2: 1.0, 5: 0.8, 25: 0.8, 26: 1.0}, {}),
    "neutral": Prototype({}, {25: 0.3, 26: 0.2}),
}

_OPTIONAL_RATE = 0.35  # how often an optional unit joins its prototype
_STRAY_RATE = 0.08  # how often a unit that does not belong to the expression is seen
_STRAY_INTENSITY = 0.3
_WEAKEST = 0.8  # overall intensity of the least expressive image, relative to the prototype

Activations = Mapping[int, Float64[np.ndarray, "B"]]


def draw_activations(labels: Int[np.ndarray, "B"], draws: Draws) -> Activations:
    """The intensity of every action unit in every image.

    Args:
      labels: expressions, indices into `labels.FER2013.names`.
      draws: one row per image; consumes 1 + 3 * len(ACTION_UNITS) columns.

    Returns:
      AU number -> float64 [B] in [0, 1].
    """
    overall = draws.uniform(_WEAKEST, 1.0)
    activations = {}
    for unit in ACTION_UNITS:
        core = np.array([PROTOTYPES[name].core.get(unit, 0.0) for name in FER2013.names])
        optional = np.array([PROTOTYPES[name].optional.get(unit, 0.0) for name in FER2013.names])
        own = draws.uniform(0.7, 1.2)
        joins = draws.unit()
        stray = _STRAY_INTENSITY * draws.unit()
        intensity = overall * own * (core[labels] + optional[labels] * (joins < _OPTIONAL_RATE))
        # Above the rates of the optional units, so that a unit joins for one reason only.
        absent = (core + optional)[labels] == 0.0
        intensity = np.where(absent & (joins > 1.0 - _STRAY_RATE), stray, intensity)
        activations[unit] = np.clip(intensity, 0.0, 1.0)
    return activations
