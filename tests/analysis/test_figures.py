"""Figures of names and numbers that are unusual."""

import numpy as np
import pytest

from ferjax.analysis import plane
from ferjax.analysis.figures import canvas
from ferjax.analysis.figures.confusion import confusion
from ferjax.analysis.figures.curves import curves
from ferjax.analysis.figures.embedding import Points, embedding

NAMES = ("a$_$b$^$", "_happy", "<b>&", "x" * 80, "sad")


def test_any_name_is_shown_as_it_is():
    counts = np.arange(25).reshape(5, 5)
    points = Points(np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 5, None)
    series = {"loss": [1.0, 0.5], "selection_loss": [1.1, 0.7]}
    made = (
        confusion({"_run$a$b$": counts}, NAMES),
        embedding({"_run$a$b$": points}, NAMES, True),
        curves({"_run$a$b$": series, "b": series}, {"b": 1}, {"_run$a$b$": "test", "b": "mine"}),
    )
    for figure in made:
        assert "_run$a$b$" in figure.svg
    for figure in made[:2]:
        for name in ("a$_$b$^$", "_happy", "&lt;b&gt;&amp;", "x" * 23 + "…"):
            assert name in figure.svg
    assert "_run$a$b$, test" in made[2].svg and "b, mine" in made[2].svg


def test_many_classes_have_a_figure_without_numbers():
    names = [f"class {at}" for at in range(60)]
    found = confusion({"run": np.eye(60, dtype=int)}, names)
    assert "100 %" not in found.svg.partition(">")[2] and "class 59" in found.svg
    points = Points(np.zeros((60, 2)), np.arange(60), None)
    assert "class 59" in embedding({"run": points}, names, True).svg


def test_classes_of_one_colour_have_other_marks():
    number = 5 * len(canvas.COLORS)
    assert len({(canvas.color(at), canvas.marker(at)) for at in range(number)}) == number


@pytest.mark.parametrize("method", plane.METHODS)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_dead_features_lie_on_one_place(method, level):
    features = np.full((40, 8), level, np.float32)
    ((flat, centers),), _ = plane.flatten([(features, None)], method)
    assert centers is None and not np.ptp(flat, axis=0).any()


def test_tsne_keeps_neighbours_together_and_places_centres_among_them():
    rng = np.random.default_rng(0)
    centers = np.eye(3, 8) * 20
    labels = np.arange(60) % 3
    features = centers[labels] + rng.normal(size=(60, 8))
    ((flat, placed),), is_shared = plane.flatten([(features, centers)], "tsne")
    assert not is_shared
    distances = np.linalg.norm(flat[:, None] - placed[None], axis=2)
    assert np.mean(distances.argmin(axis=1) == labels) > 0.95
