"""Throughput of the compiled steps and of the input path, measured on this machine."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax import experiment

FORMAT = 1


def measure(config: ConfigDict, *, steps: int = 10, repetitions: int = 3) -> dict[str, Any]:
    """Measures one config.

    Args:
      config: as a file in configs/ makes it.
      steps: steps timed together.
      repetitions: how often; medians are reported.

    Returns:
      A JSON object: images per second of `train_step`, `forward`, `input` and `loop`;
      `input_wait` (share of a step of the loop); `compile_seconds`; `peak_memory_bytes` (of the
      device, or of the process where the device is the host); `flops_per_image` of a training
      step and `flops_per_second` reached.
    """
    parts = experiment.build(config)
    batch_size = config.train.batch_size
    batches = parts.training_input()
    batch = next(batches)
    counted = dataclasses.replace(batch, groups={"train": batch.indices >= 0})
    state = parts.init_state()

    start = time.perf_counter()
    lowered = parts.train_step.lower(state, batches.table, batch)
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - start

    def train(count: int, source: Callable[[], Any]) -> None:
        nonlocal state
        for _ in range(count):
            state, metrics = compiled(state, batches.table, source())
        jax.block_until_ready(metrics)

    def forward(count: int) -> None:
        for _ in range(count):
            states = evaluate(state.evaluated, batches.table, counted)
        jax.block_until_ready(states)

    def feed(count: int) -> None:
        for _ in range(count):
            images = parts.input_step(batches.table, next(batches))
        jax.block_until_ready(images)

    view = (config.evaluation.selection_view,)
    evaluate = parts.eval_step(view)
    step_seconds = _median(lambda: train(steps, lambda: batch), steps, repetitions)
    loop_seconds = _median(lambda: train(steps, lambda: next(batches)), steps, repetitions)
    forward_seconds = _median(lambda: forward(steps), steps, repetitions)
    many = 20 * steps
    input_seconds = _median(lambda: feed(many), many, repetitions)
    batches.close()

    flops = _flops(parts, state, batches.table, batch)
    device = jax.devices()[0]
    return {
        "format": FORMAT,
        "config": {"model": dict(config.model), "batch_size": batch_size, "view": view[0]},
        "machine": {
            "platform": device.platform,
            "device": device.device_kind,
            "num_devices": jax.device_count(),
        },
        "versions": {name: metadata.version(name) for name in ("ferjax", "jax", "jaxlib", "flax")},
        "train_step": batch_size / step_seconds,
        "loop": batch_size / loop_seconds,
        "forward": batch_size / forward_seconds,
        "input": batch_size / input_seconds,
        "input_wait": max(0.0, 1.0 - step_seconds / loop_seconds),
        "compile_seconds": compile_seconds,
        "peak_memory_bytes": _peak_memory(device),
        "flops_per_image": flops / batch_size,
        "flops_per_second": flops / step_seconds,
    }


def rows(figures: dict[str, Any]) -> dict[str, str]:
    """The figures with their units, for people."""
    machine = figures["machine"]
    return {
        "device": f"{machine['num_devices']} x {machine['device']} ({machine['platform']})",
        "training step": f"{figures['train_step']:,.0f} images/s",
        "training loop": f"{figures['loop']:,.0f} images/s",
        f"forward ({figures['config']['view']})": f"{figures['forward']:,.0f} images/s",
        "input alone": f"{figures['input']:,.0f} images/s",
        "waiting for input": f"{100 * figures['input_wait']:.1f} % of a step",
        "compile time": f"{figures['compile_seconds']:.1f} s",
        "peak memory": f"{figures['peak_memory_bytes'] / 2**20:,.0f} MiB",
        "work": f"{figures['flops_per_image'] / 1e9:.2f} GFLOP per image and training step",
        "reached": f"{figures['flops_per_second'] / 1e9:,.0f} GFLOP/s",
    }


def _median(work: Callable[[], None], count: int, repetitions: int) -> float:
    """Median seconds of one of the `count` units that `work` does, after a warm-up."""
    work()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


def _flops(parts: experiment.Experiment, *arguments: Any) -> float:
    """Floating-point operations of one training step, counted on the uncompiled program.

    It is lowered for an accelerator, so that the count is of the convolutions themselves whatever
    algorithm this machine computes them by.
    """
    lowered = parts.train_step.trace(*arguments).lower(lowering_platforms=("tpu",))
    return float(lowered.cost_analysis()["flops"])


def _peak_memory(device: jax.Device) -> int:
    stats = device.memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
