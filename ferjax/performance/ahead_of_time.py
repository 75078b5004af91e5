"""Compiling a config's step for absent hardware, and reading the compiler's estimates."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from ml_collections import ConfigDict

from ferjax.config import checks
from ferjax.distributed import sharding
from ferjax.errors import UserError
from ferjax.performance import input_shapes
from ferjax.performance.hardware.targets import Target
from ferjax.performance.input_shapes import AbsentData
from ferjax.performance.program import collectives, cycles, hlo, kernels, memory, schedule, traffic
from ferjax.performance.program.cycles import Cost
from ferjax.performance.program.hlo import Program
from ferjax.performance.program.schedule import Schedule
from ferjax.training import experiment
from ferjax.training.experiment import Experiment
from ferjax.workdir import versions

FORMAT = 1
ORIGIN = "the compiler's estimates, and what follows from the program that it made; nothing was run"


def figures(
    config: ConfigDict,
    target: Target,
    *,
    per_device_batch: int | None = None,
    evaluate: bool = False,
    image_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    announce: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Compiles the training step, or the evaluation step, and reads the compiler's estimates.

    Args:
      config: a config that a file in configs/ made; its data set need not be there.
      target: what to compile for.
      per_device_batch: images on each device; by default the config's batch, split over them.
      evaluate: the evaluation step, with the view that selects, in place of the training step.
      image_shape: the shape of the stored images, if not the data set's usual one.
      num_classes: K, if only the user's own data set determines it.
      announce: called when all is checked and the compiler, which takes minutes, starts.

    Returns:
      A JSON object; sizes in bytes of each device, times in seconds of a step. `time` is None where
      the program does not fit or has a loop of unknown length; `kernels` is of GPUs alone.

    Raises:
      UserError: see `experiment.build`; or the compiler is not installed, or the model trains
        nothing and the training step is asked for.
    """
    mesh = sharding.make_mesh(target.devices())
    batch = "evaluation" if evaluate else "train"
    checks.check(config)
    config = _with_batches(config, batch, mesh, per_device_batch)
    checks.check(config)
    data = input_shapes.describe(config, image_shape=image_shape, num_classes=num_classes)
    size = config[batch].batch_size
    run = experiment.build(config, spec=data.spec(), mesh=mesh)
    if not evaluate and not run.is_trained:
        raise UserError(f"{config.model.name} trains nothing; compile its evaluation with --eval.")
    announce()
    start = time.monotonic()
    lowered = _traced(run, data, evaluate).lower()
    made = _what(run, data, target, batch)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        needed = memory.shortage(str(error)) if "RESOURCE_EXHAUSTED" in str(error) else None
        if needed is None:
            raise
        made["memory"] = {"fits": False, "total": needed[0], "available": needed[1]}
        return {**made, "time": None, "compile_seconds": time.monotonic() - start}
    made["compile_seconds"] = time.monotonic() - start
    # The compiler counts one turn of a loop over micro-batches.
    loops = not evaluate and config.optimizer.accumulation_steps > 1
    flops = _flops(config, data, evaluate) / size if loops or not target.is_tpu else None
    return {**made, **_read(compiled, target, size // mesh.size, flops)}


def _what(run: Experiment, data: AbsentData, target: Target, batch: str) -> dict[str, Any]:
    """What is compiled, and for what."""
    size, devices = run.config[batch].batch_size, run.mesh.size
    return {
        "format": FORMAT,
        "origin": ORIGIN,
        "step": batch,
        "model": run.spec.to_json()["model"],
        "parameters": run.num_parameters,
        "dataset": run.spec.dataset,
        "image_shape": list(data.image_shape),
        "placement": data.placement,
        "target": {
            "name": target.name,
            "chip": target.chip.name,
            "devices": devices,
            "memory": target.chip.memory,
            "flops": target.chip.flops,
            "bandwidth": target.chip.bandwidth,
            "clock": target.chip.clock,
        },
        "per_device_batch": size // devices,
        "global_batch": size,
        "versions": _versions(target),
    }


def _with_batches(
    config: ConfigDict, batch: str, mesh: jax.sharding.Mesh, per_device: int | None
) -> ConfigDict:
    """The config with the requested batch; the batch of the other step is set to fit."""
    config = ConfigDict(config)
    if per_device is not None:
        config[batch].batch_size = per_device * mesh.size
    if batch == "train":
        config.evaluation.batch_size = mesh.size
    else:
        config.train.batch_size = mesh.size * config.optimizer.accumulation_steps
    return config


def _traced(run: Experiment, data: AbsentData, evaluate: bool) -> jax.stages.Traced:
    if not evaluate:
        table, batch = data.arguments(run.mesh, run.config.train.batch_size)
        return run.train_step.trace(run.states.abstract(), table, batch)
    fields = run.config.evaluation
    table, batch = data.arguments(run.mesh, fields.batch_size, groups=("validation",))
    step = run.evaluator.step((fields.selection_view,))
    return jax.jit(step).trace(run.abstract_model[1], table, batch)


def _flops(config: ConfigDict, data: AbsentData, evaluate: bool) -> float:
    """Operations of a step, of the program before any compiler touches it."""
    here = sharding.make_mesh(jax.devices()[:1])
    config = ConfigDict(config)
    # The count is of one turn of a loop; the whole batch at once takes as many operations.
    config.optimizer.accumulation_steps = 1
    traced = _traced(experiment.build(config, spec=data.spec(), mesh=here), data, evaluate)
    # For an accelerator, so that the count is of the convolutions themselves.
    cost: Any = traced.lower(lowering_platforms=("tpu",)).cost_analysis()
    return cost["flops"]


def _read(
    compiled: jax.stages.Compiled, target: Target, batch: int, flops: float | None
) -> dict[str, Any]:
    """The figures of the compiled program; `batch` is the batch of one device.

    `flops` of an image are None where the compiler counts them.
    """
    program = hlo.parse(compiled.as_text() or "")
    used = memory.sizes(compiled)
    if flops is None:
        cost: Any = compiled.cost_analysis()  # the CUDA compiler has none without a GPU
        per_image = {
            "flops": cost["flops"] / batch,
            "bytes_accessed": cost["bytes accessed"] / batch,
        }
    else:
        per_image = {"flops": flops}
    ran = schedule.walk(program)
    per_image["main_memory_bytes"] = traffic.total(program, ran) / batch
    fits = used["total"] <= target.chip.memory
    costs = (_tpu if target.is_tpu else _gpu)(program, ran, target, batch, per_image)
    if not fits or ran.unknown_loops:
        costs["time"] = None
    return {
        "memory": {
            "fits": fits,
            "available": target.chip.memory,
            **used,
            "largest": [dataclasses.asdict(buffer) for buffer in memory.largest(program)],
        },
        "per_image": per_image,
        "collectives": {
            kind: dataclasses.asdict(each) for kind, each in collectives.count(program).items()
        },
        "unknown_loops": list(ran.unknown_loops),
        **costs,
    }


def _tpu(
    program: Program, ran: Schedule, target: Target, batch: int, per_image: Mapping[str, float]
) -> dict[str, Any]:
    counted = cycles.count(program, target.chip)
    clock = target.chip.clock or 1.0
    time = {
        "basis": "estimated cycles",
        "cycles_per_image": counted.total / batch,
        "charged_at_roofline": len(counted.charged),
        **_time(target, batch, per_image, counted.total / clock),
    }
    return {
        "time": time,
        "unestimated": counted.unestimated,
        "unestimated_seconds": counted.least_unestimated / clock,
        "most_expensive": _expensive(counted.most_expensive(), counted.total, clock),
        "by_layer": {name: each / clock for name, each in counted.by_layer().items()},
    }


def _gpu(
    program: Program, ran: Schedule, target: Target, batch: int, per_image: Mapping[str, float]
) -> dict[str, Any]:
    costs = kernels.by_bytes(program, ran, target.chip)
    total = sum(cost.cycles for cost in costs)
    seconds = batch * max(_least(target, per_image))
    time = {"basis": "roofline", **_time(target, batch, per_image, seconds)}
    return {
        "time": time,
        "kernels": kernels.count(ran),
        "most_expensive": _expensive(costs[:10], total, 1e9),
    }


def _time(
    target: Target, batch: int, per_image: Mapping[str, float], seconds: float
) -> dict[str, Any]:
    compute, memory = (batch * each / seconds for each in _least(target, per_image))
    return {
        "seconds": seconds,
        "images_per_second_per_chip": batch / seconds,
        "bound": "compute" if compute > memory else "memory",
        "share_of_peak_flops": compute,
        "share_of_peak_bandwidth": memory,
    }


def _least(target: Target, per_image: Mapping[str, float]) -> tuple[float, float]:
    """Seconds that the operations of an image take at least, and its bytes in main memory."""
    return (
        per_image["flops"] / target.chip.flops,
        per_image["main_memory_bytes"] / target.chip.bandwidth,
    )


def _expensive(costs: list[Cost], total: float, clock: float) -> list[dict[str, Any]]:
    return [
        {
            "layer": cost.layer,
            "instruction": cost.name,
            "opcode": cost.opcode,
            "seconds": cost.cycles / clock,
            "share": cost.cycles / total,
            "runs": cost.runs,
            "basis": cost.basis,
        }
        for cost in costs
    ]


def _versions(target: Target) -> dict[str, str]:
    compilers = ["libtpu"] if target.is_tpu else ["jax-cuda12-pjrt", "jax-cuda13-pjrt"]
    # A compiler that TPU_LIBRARY_PATH names may have no package.
    return versions.installed(["ferjax", "jax", "jaxlib", "flax", *compilers])
