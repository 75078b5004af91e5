"""A training step on a CPU with each formulation of its convolutions left out.

    python -m tests.measure.cpu_convolutions
    python -m tests.measure.cpu_convolutions --config=configs/cbam_island.py:stem=imagenet

Prints images/s of the compiled step with what `ferjax.models.ops.cpu` has, without Winograd, and
with XLA's own convolution and max-pooling, each in a process of its own. Arguments: --set gives a
field, such as --set=model.width=36.
"""

import argparse
import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import time

VARIANTS = ("all", "no_winograd", "xla")


def leave_out(variant):
    """Patches the choice of formulations."""
    import jax

    from ferjax.models.ops import convolution as dispatch
    from ferjax.models.ops import tpu_convolution
    from ferjax.models.ops.cpu import convolution as cpu

    if variant == "no_winograd":
        cpu._suits_winograd = lambda *_: False
    if variant != "xla":
        return

    def gradients(images, kernel, gradient, *, stride, padding):
        conv = functools.partial(tpu_convolution.direct, stride=stride, padding=padding)
        return jax.vjp(conv, images, kernel)[1](gradient)

    def max_pool(images, *, window, stride, padding):
        return dispatch._xla_max_pool(window, stride, padding)(images)

    def max_pool_gradient(images, gradient, *, window, stride, padding):
        return jax.vjp(dispatch._xla_max_pool(window, stride, padding), images)[1](gradient)[0]

    cpu.forward, cpu.gradients = tpu_convolution.direct, gradients
    cpu.max_pool, cpu.max_pool_gradient = max_pool, max_pool_gradient


def measure(variant, path, steps, fields):
    """Prints compile seconds and images/s of the training step."""
    import jax

    leave_out(variant)
    from ferjax.config import fields as config_fields
    from ferjax.training import experiment

    name, _, arguments = path.partition(":")
    spec = importlib.util.spec_from_file_location("config", name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = config_fields.completed(module.get_config(arguments or None))
    for field in fields:
        key, value = field.split("=")
        config.update_from_flattened_dict({key: type(_at(config, key))(value)})
    run = experiment.build(config)
    batches, state = run.training_input(), run.states.fresh()
    batch = next(batches)
    start = time.perf_counter()
    step = run.train_step.lower(state, batches.table, batch).compile()
    compiled = time.perf_counter() - start
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        state, metrics = step(state, batches.table, batch)
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - start)
    batches.close()
    rate = config.train.batch_size / statistics.median(times[2:])
    print(f"{variant:14} compiled in {compiled:5.1f} s   {rate:6.1f} images/s", flush=True)


def _at(config, key):
    for name in key.split("."):
        config = config[name]
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/cbam_island.py:budget=cpu")
    parser.add_argument("--set", action="append", default=[], help="FIELD=VALUE, as model.width=36")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--variant", choices=VARIANTS)
    arguments = parser.parse_args()
    if arguments.variant:
        measure(arguments.variant, arguments.config, arguments.steps, arguments.set)
        return
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    for variant in VARIANTS:
        command = [sys.executable, "-m", "tests.measure.cpu_convolutions", f"--variant={variant}"]
        subprocess.run([*command, *sys.argv[1:]], check=True, env=environment)


if __name__ == "__main__":
    main()
