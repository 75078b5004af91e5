"""The programs of three shrunk configs as XLA is given them: what a refactoring must leave alone.

    python -m tests.measure.lowered_programs > before.txt

Prints the lowered training, evaluation and prediction programs, without source locations and with
the names of symbols numbered in the order in which they come. Run it before and after a change that
should move code alone, and compare.
"""

import re
import tempfile

import jax
import numpy as np

from ferjax.data.pipeline.batches import make_table
from ferjax.inference.prediction import prediction
from ferjax.training import experiment
from tests.helpers import tiny

SYMBOL = re.compile(r"@[A-Za-z_][\w.]*")


def configs(data_dir):
    """Name -> config: CBAM with the island loss, SE with batch norm, a fusion of frozen trunks."""
    yield "cbam_island", tiny.config(data_dir, "attention=cbam,loss=island")
    for name, argument in (("se_cnn", "attention=se"), ("attention_fusion", "fusion=attention")):
        made = tiny.module(name).get_config(f"dataset=synthetic,{argument}")
        made.dataset.data_dir = str(data_dir)
        made.dataset.options.update(image_size=32, num_train=84, num_validation=21, num_test=35)
        made.model.update(width=8, image_size=32)
        made.train.batch_size = made.evaluation.batch_size = 16
        yield name, made


def normalised(text):
    """The text with its symbols numbered, so that the name of a Python function does not count."""
    numbers = {}
    return SYMBOL.sub(lambda name: f"@s{numbers.setdefault(name[0], len(numbers))}", text)


def programs(config):
    """Name -> lowered program of one config."""
    run = experiment.build(config)
    state = run.states.abstract()
    batches = run.training_input()
    yield "training", run.train_step.lower(state, batches.table, next(batches))
    batches.close()
    images = jax.ShapeDtypeStruct((16, *run.spec.native_shape), np.uint8)
    predict = prediction(run.abstract_model[0], preprocessing=run.spec.preprocessing)
    yield "prediction", predict.lower(state.evaluated, images)
    names = ("single", "flip", "ten_crop")
    count = run.evaluator.step(names)
    groups = run.data.groups("validation")
    batch = next(run.data.evaluation_batches("validation", groups, batch_size=16))
    table = make_table(run.data.examples("validation"), run.mesh)
    yield "evaluation", jax.jit(count).lower(state.evaluated, table, batch)


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name, config in configs(folder):
            for program, lowered in programs(config):
                print(f"==== {name}, {program}")
                print(normalised(lowered.as_text()))


if __name__ == "__main__":
    main()
