"""What the host spends on a training step: the loop around a step that computes nothing.

    python -m tests.measure.host_cost [--steps=500]

Prints milliseconds a step for what the training loop does: the next batch, the call of a compiled
program with the whole state of ResNet-18 + CBAM and the step's metrics, and writing these to
metrics.jsonl and TensorBoard. While this is less than a step takes on the device, several steps in
one call would gain nothing.
"""

import argparse
import io
import tempfile
import time

import jax
import jax.numpy as jnp

from ferjax.training import experiment
from ferjax.training.step_metrics import LateMetrics
from ferjax.workdir.writer import Writer
from tests.helpers import tiny


def nothing(shapes):
    """The donated state as it came, and metrics of these shapes."""

    def run(state, table, batch):
        return state, jax.tree.map(lambda shape: jnp.ones(shape.shape, shape.dtype), shapes)

    return jax.jit(run, donate_argnums=0, keep_unused=True)


def ignore(_):
    """Of a run that goes well there is nothing to say."""


def milliseconds(function, steps):
    start = time.perf_counter()
    for step in range(1, steps + 1):
        function(step)
    return (time.perf_counter() - start) / steps * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    steps = parser.parse_args().steps
    config = tiny.module().get_config("dataset=synthetic")
    config.dataset.options.update(num_train=6000, num_validation=7, num_test=7, image_size=16)
    config.model.update(image_size=16, width=64)
    config.train.batch_size = 16
    with tempfile.TemporaryDirectory() as folder:
        config.dataset.data_dir = folder
        run = experiment.build(config)
        batches, state = run.training_input(), run.states.fresh()
        batch = next(batches)
        shapes = jax.eval_shape(run.train_step, state, batches.table, batch)[1]
        step = nothing(shapes)

        def call(batch):
            nonlocal state
            state, values = step(state, batches.table, batch)
            return values

        call(batch)
        print(f"{len(jax.tree.leaves(state))} arrays in the state")
        print(f"batch  {milliseconds(lambda _: next(batches), steps):.2f} ms")
        print(f"call   {milliseconds(lambda _: call(batch), steps):.2f} ms")
        with Writer(
            folder,
            resume_step=0,
            steps_per_epoch=steps,
            num_epochs=1,
            batch_size=16,
            stream=io.StringIO(),
        ) as writer:
            metrics = LateMetrics(writer, ignore, ignore, steps, config)
            whole = milliseconds(lambda n: metrics.push(n, call(next(batches))), steps)
            metrics.drain()
        print(f"loop   {whole:.2f} ms")
        batches.close()


if __name__ == "__main__":
    main()
