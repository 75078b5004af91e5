"""The preview shows what the training step feeds the network, in grey levels."""

import io
import sys
from unittest import mock

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ferjax.cli import command as cli
from ferjax.data import preview as command
from ferjax.data.pipeline import preprocess
from ferjax.training import experiment, preview
from tests.helpers import tiny


def plain(data_dir, **fields):
    """A config without augmentation, but for what is given."""
    config = tiny.config(data_dir, "attention=none")
    config.augment.update(shift=0.0, flip=0.0)
    config.augment.update(**fields)
    return config


def test_without_augmentation_the_stored_images_are_shown(data_dir):
    found = preview.preview(experiment.build(plain(data_dir)), images=5, visits=2)
    assert found.stored.shape == (5, 16, 16, 1) and found.shown.shape == (5, 2, 16, 16, 1)
    for visit in range(2):
        np.testing.assert_array_equal(found.shown[:, visit], found.stored)


def test_each_visit_is_augmented_anew(data_dir):
    found = preview.preview(experiment.build(plain(data_dir, flip=0.5)), images=16, visits=4)
    mirrored = found.stored[:, :, ::-1]
    kinds = {
        (np.array_equal(shown, stored), np.array_equal(shown, mirror))
        for stored, mirror, visits in zip(found.stored, mirrored, found.shown, strict=True)
        for shown in visits
    }
    assert kinds == {(True, False), (False, True)}


@pytest.mark.parametrize("normalization", ["unit", "imagenet", "caffe"])
def test_normalisation_is_undone(normalization):
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    made = preprocess.create(
        normalization,
        native_shape=(8, 8, 3),
        image_size=8,
        channels=3,
        training_images=lambda: images,
    )
    shown = np.asarray(made(jnp.asarray(images, jnp.float32)))
    np.testing.assert_array_equal(preview.grey_levels(made, shown), images)


def test_the_command_writes_a_picture(data_dir, tmp_path, capsys):
    target = tmp_path / "shown.png"
    config = f"--config={tiny.CONFIG}:dataset=synthetic,attention=none"
    overrides = [
        f"--config.dataset.data_dir={data_dir}",
        "--config.dataset.options.image_size=16",
        "--config.dataset.options.num_train=84",
        "--config.dataset.options.num_validation=21",
        "--config.dataset.options.num_test=35",
        "--config.model.image_size=16",
        "--config.train.batch_size=16",
    ]
    assert run(config, *overrides, f"--output={target}", "--images=3", "--visits=2") == 0
    picture = Image.open(io.BytesIO(target.read_bytes()))
    assert picture.size == (3 * 100 + 4, 3 * 114 + 4)
    assert "3 images of synthetic, stored and in 2 epochs" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_is_refused(tmp_path, capsys):
    assert run(f"--config={tiny.CONFIG}:dataset=synthetic", f"--output={tmp_path}") == 2
    assert "--output" in capsys.readouterr().err


def run(*arguments):
    """The command with these flags; returns its exit code."""
    flags = command.FLAGS
    argv = ["preview", *arguments]  # config flags find what overrides them in sys.argv alone
    try:
        with pytest.raises(SystemExit) as left, mock.patch.object(sys, "argv", argv):
            cli.run(command.main, flag_values=flags, argv=argv)
        return left.value.code
    finally:
        flags.unparse_flags()
        for name in [name for name in flags if name.startswith("config.")]:
            delattr(flags, name)
