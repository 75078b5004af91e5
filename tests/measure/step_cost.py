"""What a training step of ours costs on a chip that is not here, beside one of plain Flax layers.

    pip install 'ferjax[tpu]'     # or 'ferjax[cuda13]', for --target=h100
    PYTHONPATH=. python -m tests.measure.step_cost --attention=none|cbam [--target=v5e:2x2|h100]
        [--stem=imagenet|half|small] [--sides=plain,ours] [--batch=512] [--json=FILE] [--hlo=FOLDER]

compiles one step of each for one chip: ResNet-18 with the 7x7 stem (or another; the flagship's is
small, 3x3/1), 48-pixel images of 1 channel, bfloat16, 512 a chip, softmax cross-entropy, SGD with
momentum and weight decay, the state donated.
The plain one is `plain_resnet`. For a TPU the cycles are the compiler's estimates, and a custom
call is charged its roofline time; instructions with neither are named and cost nothing. For a GPU
there are numbers of kernels and of copies. MB and MFLOP are those of `cost_analysis`; main memory's
are counted from the operands and results of what runs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ferjax import models
from ferjax.distributed import compiler
from ferjax.performance.hardware import targets
from ferjax.performance.program import cycles, hlo, kernels, schedule, traffic
from ferjax.training import optimizer as optim
from tests.helpers.plain_resnet import STEMS, PlainResNet18

CLASSES = 7


def ours(attention: str, stem: str) -> nnx.Module:
    return models.create(
        "resnet18",
        num_classes=CLASSES,
        dtype="bfloat16",
        stem=stem,
        attention=attention,
        rngs=nnx.Rngs(0),
    )


def plain(attention: str, stem: str) -> nnx.Module:
    return PlainResNet18(1, CLASSES, cbam=attention == "cbam", stem=stem, rngs=nnx.Rngs(0))


SIDES: dict[str, Callable[[str, str], nnx.Module]] = {"plain": plain, "ours": ours}


def lower(
    side: str, attention: str, stem: str, batch: int, device: jax.Device
) -> jax.stages.Lowered:
    """The step of a side, lowered for one device."""
    mesh = Mesh(np.array([device]), ("data",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())
    graphdef, *parts = nnx.split(SIDES[side](attention, stem), nnx.Param, nnx.BatchStat)
    params, statistics = (nnx.to_pure_dict(part) for part in parts)
    optimizer = optim.optimizer("sgd", learning_rate=0.01, momentum=0.9, weight_decay=5e-4)

    def loss_of(params: Any, statistics: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        model = nnx.merge(graphdef, params, statistics)
        model.train()
        results = model(images)
        logits = results[0] if isinstance(results, tuple) else results
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        _, _, moved = nnx.split(model, nnx.Param, nnx.BatchStat)
        return jnp.mean(losses), nnx.to_pure_dict(moved)

    def step(state: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        params, statistics, opt_state = state
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, statistics), gradients = differentiate(params, statistics, images, labels)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), statistics, opt_state), loss

    def shaped(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole)

    state = jax.tree.map(shaped, (params, statistics, optimizer.init(params)))
    images = shaped(jax.ShapeDtypeStruct((batch, 48, 48, 1), jnp.bfloat16))
    labels = shaped(jax.ShapeDtypeStruct((batch,), jnp.int32))
    options = compiler.options(device.platform) if side == "ours" else None
    return jax.jit(step, donate_argnums=0, compiler_options=options).lower(state, images, labels)


def figures(compiled: jax.stages.Compiled, target: targets.Target, batch: int) -> dict[str, Any]:
    """The figures of a compiled step; those that grow with the batch, of one image."""
    program, cost = hlo.parse(compiled.as_text() or ""), compiled.cost_analysis()
    ran = schedule.walk(program)
    kinds = kernels.count(ran)
    found = {
        "main_memory_mb": traffic.total(program, ran) / batch / 1e6,
        "kinds": kinds,
        "kernels": sum(kinds.values()),
    }
    if cost is not None:  # compilers for GPUs that are not here do not say
        found["mb"] = cost["bytes accessed"] / batch / 1e6
        found["mflop"] = cost["flops"] / batch / 1e6
    if target.is_tpu:
        counted = cycles.count(program, target.chip)
        found["cycles"] = counted.total / batch
        found["costed"] = len(counted.costs)
        found["charged_at_roofline"] = len(counted.charged)
        found["unestimated"] = counted.unestimated
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--attention", choices=("none", "cbam"), default="none")
    parser.add_argument("--stem", choices=tuple(STEMS), default="imagenet")
    parser.add_argument("--target", default="v5e:2x2")
    parser.add_argument("--sides", default="plain,ours")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--hlo", type=Path)
    args = parser.parse_args()
    targets.prepare(os.environ)
    jax.config.update("jax_platforms", "cpu")
    target = targets.find(args.target)
    device = target.devices()[0]
    found: dict[str, dict[str, Any]] = {}
    for side in args.sides.split(","):
        start = time.monotonic()
        compiled = lower(side, args.attention, args.stem, args.batch, device).compile()
        found[side] = figures(compiled, target, args.batch)
        found[side]["compile_seconds"] = round(time.monotonic() - start)
        print(side, json.dumps(found[side]), flush=True)
        if args.hlo:
            args.hlo.mkdir(parents=True, exist_ok=True)
            file = args.hlo / f"{side}_{args.attention}_{args.stem}.txt"
            file.write_text(compiled.as_text() or "")
    if len(found) == len(SIDES):
        for key in ("cycles", "mb") if target.is_tpu else ("kernels", "main_memory_mb"):
            print(f"{key}: {found['ours'][key] / found['plain'][key]:.3f} of the plain model's")
    if args.json:
        args.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
