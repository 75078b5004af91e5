"""A shrunk run of the real config, that compiles and trains within seconds."""

import contextlib
import importlib.util
import json
import os
import signal
from pathlib import Path
from unittest import mock

from ferjax.workdir import writer

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "cbam_island.py"


def module(name="cbam_island"):
    """configs/NAME.py, loaded as a config flag loads it."""
    spec = importlib.util.spec_from_file_location(name, CONFIG.parent / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def as_json(value):
    """`value` as it comes back from a JSON file: tuples are lists there."""
    return json.loads(json.dumps(value))


def config(data_dir, argument="attention=none", **overrides):
    """The island row on a few small synthetic faces; overrides as `group__field=value`."""
    made = module().get_config(",".join(filter(None, ["dataset=synthetic", argument])))
    made.dataset.data_dir = str(data_dir)
    made.dataset.options.image_size = 16
    made.dataset.options.num_train = 84
    made.dataset.options.num_validation = 21
    made.dataset.options.num_test = 35
    # Half the blocks compile in half the time.
    made.model.update(name="resnet10", width=8, image_size=16, stem="half")
    made.optimizer.learning_rate = 0.02
    made.optimizer.warmup_epochs = 0.5
    # No loss is better than the first by this much: the third epoch has half the learning rate.
    made.optimizer.plateau.update(factor=0.5, patience=0, metric="loss", threshold=9.0)
    made.train.update(batch_size=16, num_epochs=3)
    made.evaluation.batch_size = 16
    made.augment.shift = 1 / 16
    for path, value in overrides.items():
        group, field = path.split("__") if "__" in path else (None, path)
        (made[group] if group else made)[field] = value
    return made


@contextlib.contextmanager
def stopped_while_writing(step):
    """SIGTERM comes while the numbers of `step` are written: the run stops after the next one."""
    write_step = writer.Writer.write_step

    def write(self, written, values):
        write_step(self, written, values)
        if written == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with mock.patch.object(writer.Writer, "write_step", write):
        yield
