"""From a config to the data half of an experiment."""

import numpy as np
import pytest

from ferjax.data.pipeline import preprocess
from ferjax.training import experiment
from tests.helpers import tiny


@pytest.mark.parametrize("normalization", ["dataset", "unit", "imagenet"])
def test_what_is_erased_gets_the_mean_grey_level(data_dir, normalization, monkeypatch):
    measured = []
    statistics = preprocess.channel_statistics

    def counted(*arguments):
        measured.append(arguments)
        return statistics(*arguments)

    monkeypatch.setattr(preprocess, "channel_statistics", counted)
    config = tiny.config(data_dir, augment__erasing=0.5, model__channels=3)
    config.preprocess.normalization = normalization
    run = experiment.build(config)
    pixels = run.data.examples("train").images[np.arange(84)]
    assert run.augmentation.fill == pytest.approx(pixels.mean(dtype=np.float64), rel=1e-6)
    assert run.spec.preprocessing and len(measured) == 1  # the images are read for it once


def test_nothing_is_measured_for_what_erases_nothing(data_dir, monkeypatch):
    monkeypatch.setattr(preprocess, "channel_statistics", lambda *_: pytest.fail("measured"))
    config = tiny.config(data_dir)
    config.preprocess.normalization = "unit"
    assert experiment.build(config).augmentation.erasing == 0.0
