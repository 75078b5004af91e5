"""Where a model looks, on faces of which it is known where a model has to look."""

import json

LOOKED = """
import json, sys
from pathlib import Path

import numpy as np

from ferjax.analysis.figures.overlay import grown
from ferjax.analysis.saliency import Saliency
from ferjax.data import catalog
from ferjax.data.prepare import preparation
from ferjax.inference.trained_model import TrainedModel
from ferjax.training import loop
from tests.helpers import mouths, tiny
from tests.helpers.fake_fer2013 import write_folder

home = Path({home!r})
source = write_folder(home / "faces", mouths.files(1200))
preparation.prepare(catalog.IMAGE_FOLDER, source, home / "data", name="mouths")
arguments = "dataset=image_folder,name=mouths,attention=none,loss=softmax"
config = tiny.module().get_config(arguments)
config.dataset.data_dir = str(home / "data")
config.model.update(name="resnet10", width=16, stem="half")
config.train.update(batch_size=16, num_epochs=8)
config.optimizer.learning_rate = 0.05
config.evaluation.test_views = ("single",)
loop.train(config, str(home / "run"))

trained = TrainedModel.load(home / "run", config=None)
saliency = Saliency(trained, trained.spec.native_shape)
indices = 7_000_000 + np.arange(200)  # other people than those of the training
labels = indices % 2
found = saliency(mouths.render(indices, labels).astype(np.float32))
area, mass = [], []
for box, cam in zip(mouths.where(indices), found.cam, strict=True):
    first = saliency.at_first_pixel(saliency.layer)
    heat = grown(cam, box.shape, image_size=48, at_first_pixel=first)
    area.append(box.mean())
    mass.append(heat[box].sum() / heat.sum())
print(json.dumps([
    found.cam.shape[1:], float((found.predicted == labels).mean()),
    float(np.mean(area)), float(np.mean(mass)),
]))
"""


def test_grad_cam_looks_at_the_mouth_where_the_mouth_decides(tmp_path, run_python):
    """The mouth's share of the map is at least twice its share of the area."""
    done = run_python(LOOKED.format(home=str(tmp_path)), optimize=True)
    side, right, area, mass = json.loads(done.stdout.splitlines()[-1])
    assert side == [6, 6] and right > 0.95
    assert mass >= 2 * area
