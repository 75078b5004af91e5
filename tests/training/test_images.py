"""TensorBoard's images: the training images of the first step, and each epoch's confusion."""

import io

import numpy as np
from PIL import Image

from ferjax.cli import pictures
from ferjax.training import experiment, loop, preview
from tests.helpers import tensorboard, tiny


def test_a_run_shows_its_images_and_its_confusion(data_dir, tmp_path):
    config = tiny.config(data_dir, train__num_epochs=2)
    loop.train(config, str(tmp_path / "run"), draws=True)
    found = tensorboard.images(tmp_path / "run" / "tensorboard")
    assert [(step, tag) for step, tag, _ in found] == [
        (0, "train/images"),
        (5, "epoch/validation_confusion"),
        (10, "epoch/validation_confusion"),
    ]
    run = experiment.build(config)
    rows = preview.preview(run, images=8, visits=4).rows(run.spec.labels)
    assert found[0].png == pictures.rows_of_images(rows)
    for _, _, data in found:
        Image.open(io.BytesIO(data)).load()


def test_nothing_is_drawn_unasked(finished):
    assert tensorboard.images(finished[0] / "tensorboard") == []


def test_a_cell_is_as_dark_as_its_share_of_the_row():
    names = ("no", "a name that is much longer than a cell")
    data = pictures.confusion(np.array([[3, 1], [0, 0]]), names)
    page = np.asarray(Image.open(io.BytesIO(data)).convert("L"), int)
    cells = page[-64 * 2 :, -64 * 2 :]
    corners = cells[[[4, 4], [68, 68]], [[4, 68], [4, 68]]]
    assert corners[0, 0] < corners[0, 1] < corners[1, 0] == corners[1, 1] == 255


def test_a_matrix_of_many_classes_has_its_colours_alone():
    data = pictures.confusion(np.eye(40, dtype=int), [f"class {at}" for at in range(40)])
    page = Image.open(io.BytesIO(data))
    assert page.size == (480, 480) and len(page.getcolors()) == 2
