"""Where a model looks, on faces of which it is known where a model has to look."""

import jax
import numpy as np
import pytest

from ferjax.analysis.saliency import LEAST_SIDE, Saliency
from ferjax.data import catalog
from ferjax.data.prepare import preparation
from ferjax.inference.trained_model import TrainedModel
from ferjax.training import loop
from tests.helpers import mouths, tiny
from tests.helpers.fake_fer2013 import write_folder


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A model that tells frowns from smiles."""
    home = tmp_path_factory.mktemp("mouths")
    source = write_folder(home / "faces", mouths.files(1200))
    preparation.prepare(catalog.IMAGE_FOLDER, source, home / "data", name="mouths")
    config = tiny.module().get_config("dataset=image_folder,name=mouths,loss=softmax")
    config.dataset.data_dir = str(home / "data")
    config.model.update(name="resnet10", width=8, stem="half")
    config.train.update(batch_size=32, num_epochs=6)
    config.optimizer.learning_rate = 0.05
    loop.train(config, str(home / "run"))
    return home / "run"


def test_grad_cam_looks_at_the_mouth_where_the_mouth_decides(workdir):
    trained = TrainedModel.load(workdir, config=None)
    saliency = Saliency(trained, trained.spec.native_shape)
    indices = 7_000_000 + np.arange(200)  # other people than those of the training
    labels = indices % 2
    found = saliency(mouths.render(indices, labels).astype(np.float32))
    assert min(found.cam.shape[1:]) >= LEAST_SIDE
    right = found.predicted == labels
    assert right.mean() > 0.9
    area, mass = [], []
    for box, cam in zip(mouths.where(indices), found.cam, strict=True):
        if box.any() and cam.any():
            heat = np.asarray(jax.image.resize(cam, box.shape, "bilinear"))
            area.append(box.mean())
            mass.append(heat[box].sum() / heat.sum())
    print(
        right.mean(),
        len(area),
        np.mean(area),
        np.mean(mass),
        np.mean(np.array(mass) / np.array(area)),
    )
    assert np.mean(mass) >= 2 * np.mean(area)
