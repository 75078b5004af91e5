"""Throughput of the compiled steps and of the input path, measured on this machine."""

from __future__ import annotations

import dataclasses
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax.data.pipeline.batches import PLACEMENTS, Batch, Table, TrainingInput
from ferjax.errors import one_of
from ferjax.training import experiment
from ferjax.training.step import TrainState
from ferjax.workdir import versions

FORMAT = 2


def measure(
    config: ConfigDict,
    *,
    steps: int = 10,
    repetitions: int = 3,
    placements: Sequence[str] = (),
) -> dict[str, Any]:
    """Measures one config.

    Args:
      config: a config that a file in configs/ made.
      steps: steps timed together.
      repetitions: how often; medians are reported.
      placements: where the pixels are (see `batches`), to be compared; the config's if empty.

    Returns:
      A JSON object: under `placements`, for each, images per second of `train_step`, `loop`,
      `input` (augmented and preprocessed batches) and `delivery` (batches as they reach the device:
      indices for "device", else pixels), and `input_wait` (share of a step of the loop); `forward`
      (images per second); `compile_seconds`; `peak_memory_bytes` (of the device, or of the process
      where the device is the host); `flops_per_image` of a training step and `flops_per_second`
      reached.

    Raises:
      UserError: see `experiment.build`; or a placement does not exist.
    """
    run = experiment.build(config)
    for placement in placements:
        one_of("--placements", placement, PLACEMENTS)
    batch_size = config.train.batch_size
    chosen = list(placements) or [run.data.placement("train")]
    measured, compile_seconds, state = {}, 0.0, run.states.fresh()
    for placement in chosen:
        batches = run.training_input(placement)
        batch = next(batches)
        start = time.perf_counter()
        step = run.train_step.lower(state, batches.table, batch).compile()
        compile_seconds = compile_seconds or time.perf_counter() - start
        state, measured[placement] = _placement(
            run, step, state, batches, batch, steps, repetitions
        )
        if placement == chosen[0]:
            forward_seconds = _forward(run, state, batches.table, batch, steps, repetitions)
            flops = _flops(run, state, batches.table, batch)
        batches.close()
    device = jax.devices()[0]
    step_seconds = batch_size / measured[chosen[0]]["train_step"]
    return {
        **_what(run, device),
        "placements": measured,
        "forward": batch_size / forward_seconds,
        "compile_seconds": compile_seconds,
        "peak_memory_bytes": _peak_memory(device),
        "flops_per_image": None if flops is None else flops / batch_size,
        "flops_per_second": None if flops is None else flops / step_seconds,
    }


def _what(run: experiment.Experiment, device: jax.Device) -> dict[str, Any]:
    """What is measured, and where."""
    return {
        "format": FORMAT,
        "config": {
            "model": dict(run.config.model),
            "batch_size": run.config.train.batch_size,
            "image_shape": list(run.spec.native_shape),
            "view": run.config.evaluation.selection_view,
        },
        "machine": {
            "platform": device.platform,
            "device": device.device_kind,
            "num_devices": jax.device_count(),
            "num_cores": os.cpu_count(),
        },
        "versions": versions.installed(("ferjax", "jax", "jaxlib", "flax")),
    }


def _placement(
    run: experiment.Experiment,
    step: jax.stages.Compiled,
    state: TrainState,
    batches: TrainingInput,
    batch: Batch,
    steps: int,
    repetitions: int,
) -> tuple[TrainState, dict[str, float]]:
    """The state after all the steps, and the figures of one placement."""

    def train(count: int, source: Callable[[], Any]) -> None:
        nonlocal state
        for _ in range(count):
            state, metrics = step(state, batches.table, source())
        jax.block_until_ready(metrics)

    def deliver(count: int) -> None:
        for _ in range(count):
            delivered = next(batches)
        jax.block_until_ready(delivered)

    def feed(count: int) -> None:
        for _ in range(count):
            images = run.input_step(batches.table, next(batches))
        jax.block_until_ready(images)

    step_seconds = _median(lambda: train(steps, lambda: batch), steps, repetitions)
    # Past what had been read ahead while nobody took it, which would hide that reading is slow:
    # the warm-up takes twice as much, and what is timed is longer than that.
    ahead = 2 * batches.ahead if batches.table is None else 0
    long = max(steps, ahead)
    loop_seconds = _median(lambda: train(long, lambda: next(batches)), long, repetitions)
    many = max(20 * steps, ahead) if batches.table is not None else max(8 * steps, ahead)
    input_seconds = _median(lambda: feed(many), many, repetitions)
    delivery_seconds = _median(lambda: deliver(many), many, repetitions)
    size = len(batch.indices)
    return state, {
        "train_step": size / step_seconds,
        "loop": size / loop_seconds,
        "input": size / input_seconds,
        "delivery": size / delivery_seconds,
        "input_wait": max(0.0, 1.0 - step_seconds / loop_seconds),
    }


def _forward(
    run: experiment.Experiment,
    state: TrainState,
    table: Table | None,
    batch: Batch,
    steps: int,
    repetitions: int,
) -> float:
    """Seconds of a forward pass in evaluation."""
    evaluate = run.evaluator.step((run.config.evaluation.selection_view,))
    counted = dataclasses.replace(batch, groups={"train": batch.indices >= 0})

    def forward() -> None:
        for _ in range(steps):
            states = evaluate(state.evaluated, table, counted)
        jax.block_until_ready(states)

    return _median(forward, steps, repetitions)


def rows(figures: dict[str, Any]) -> dict[str, str]:
    """The figures with their units, for people."""
    machine = figures["machine"]
    placed = {}
    for placement, each in figures["placements"].items():
        placed[f"training step ({placement})"] = f"{each['train_step']:,.0f} images/s"
        placed[f"training loop ({placement})"] = f"{each['loop']:,.0f} images/s"
        placed[f"input alone ({placement})"] = f"{each['input']:,.0f} images/s"
        placed[f"batches delivered ({placement})"] = f"{each['delivery']:,.0f} images/s"
        placed[f"waiting for input ({placement})"] = f"{100 * each['input_wait']:.1f} % of a step"
    return {
        "device": f"{machine['num_devices']} x {machine['device']} ({machine['platform']})",
        **placed,
        f"forward ({figures['config']['view']})": f"{figures['forward']:,.0f} images/s",
        "compile time": f"{figures['compile_seconds']:.1f} s",
        "peak memory": f"{figures['peak_memory_bytes'] / 2**20:,.0f} MiB",
        **_operations(figures["flops_per_image"], figures["flops_per_second"]),
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


def _operations(per_image: float | None, per_second: float | None) -> dict[str, str]:
    """What a step computes, for people."""
    if per_image is None or per_second is None:
        return {"work": "not counted by this version of JAX"}
    return {
        "work": f"{per_image / 1e9:.2f} GFLOP per image and training step",
        "reached": f"{per_second / 1e9:,.0f} GFLOP/s",
    }


def _flops(run: experiment.Experiment, *arguments: Any) -> float | None:
    """Floating-point operations of one training step; None where JAX does not count them.

    They are counted on the uncompiled program. On a CPU it is lowered for a TPU, so that the count
    is of the convolutions themselves whatever algorithm a CPU computes them by.
    """
    platforms = ("tpu",) if jax.default_backend() == "cpu" else None
    lowered = run.train_step.trace(*arguments).lower(lowering_platforms=platforms)
    # On a GPU, jax 0.11 counts the operations of compiled programs alone.
    return counted_flops(lowered.cost_analysis() or lowered.compile().cost_analysis())


def counted_flops(analysis: Any) -> float | None:
    """The operations in a result of `cost_analysis`, which may be a list, empty or None."""
    if isinstance(analysis, list):
        analysis = analysis[0] if analysis else None
    return float(analysis["flops"]) if analysis and "flops" in analysis else None


def _peak_memory(device: jax.Device) -> int:
    stats = device.memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
