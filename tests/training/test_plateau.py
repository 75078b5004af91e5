"""Plateau rules, against the two frameworks' rules written out plainly."""

import math

import numpy as np
import pytest

from ferjax.config import fields
from ferjax.training.plateau import Plateau, PlateauRule


def rule_with(**settings):
    return PlateauRule(**{**fields.defaults().optimizer.plateau.to_dict(), **settings})


def pytorch_scales(values, *, mode, factor, patience, threshold, cooldown):
    """ReduceLROnPlateau of PyTorch, threshold_mode "rel", from its documentation."""
    scale, best, bad, cooling, scales = 1.0, None, 0, 0, []
    for value in values:
        if mode == "min":
            better = best is None or value < best * (1 - threshold)
        else:
            better = best is None or value > best * (1 + threshold)
        if better:
            best, bad = value, 0
        else:
            bad += 1
        if cooling > 0:
            cooling, bad = cooling - 1, 0
        if bad > patience:
            scale, cooling, bad = scale * factor, cooldown, 0
        scales.append(scale)
    return scales


def keras_scales(values, *, mode, factor, patience, threshold, cooldown):
    """ReduceLROnPlateau of Keras, from its documentation."""
    scale, wait, cooling, scales = 1.0, 0, 0, []
    best = math.inf if mode == "min" else -math.inf
    for value in values:
        if cooling > 0:
            cooling, wait = cooling - 1, 0
        better = value < best - threshold if mode == "min" else value > best + threshold
        if better:
            best, wait = value, 0
        elif cooling == 0:
            wait += 1
            if wait >= patience:
                scale, cooling, wait = scale * factor, cooldown, 0
        scales.append(scale)
    return scales


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
@pytest.mark.parametrize("cooldown", [0, 2])
@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize(
    ("style", "scales"), [("pytorch", pytorch_scales), ("keras", keras_scales)]
)
def test_scales_follow_the_framework(style, scales, patience, cooldown, metric):
    mode = "max" if metric == "accuracy" else "min"
    settings = {"factor": 0.5, "patience": patience, "threshold": 0.02, "cooldown": cooldown}
    rule = rule_with(style=style, metric=metric, **settings)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = (0.5 + 0.1 * rng.random(40) + 0.002 * np.arange(40)).tolist()
        plateau, seen = Plateau(), []
        for value in values:
            before = plateau.scale
            assert plateau.update(rule, value) == (plateau.scale < before)
            plateau = Plateau(**plateau.to_dict())  # as a checkpoint stores it
            seen.append(plateau.scale)
        assert seen == scales(values, mode=mode, **settings)
        assert seen[-1] < 1.0


def test_the_styles_differ_in_what_patience_means():
    flat = [0.5] * 6
    counts = {}
    for style in ("pytorch", "keras"):
        plateau, rule = Plateau(), rule_with(factor=0.1, patience=2, style=style)
        counts[style] = [plateau.update(rule, value) for value in flat].index(True)
    assert counts == {"pytorch": 3, "keras": 2}


def test_the_minimum_is_never_passed():
    plateau, rule = Plateau(), rule_with(factor=0.1, patience=0, minimum=0.05)
    reduced = [plateau.update(rule, 0.5) for _ in range(5)]
    assert plateau.scale == 0.05 and sum(reduced) == 2


def test_off_is_off():
    plateau, off = Plateau(), rule_with()
    assert not any(plateau.update(off, 0.1) for _ in range(50)) and plateau.scale == 1.0


@pytest.mark.parametrize(
    ("field", "value"), [("style", "torch"), ("factor", 1.5), ("patience", -1), ("threshold", -0.1)]
)
def test_what_would_reduce_otherwise_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        rule_with(**{field: value})
