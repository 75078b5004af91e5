"""The training step here and in PyTorch, measured on this machine's GPU or TPU.

    PYTHONPATH=. python -m tests.measure.accelerator_speed [--batches=128,512] [--attention=cbam]
        [--stem=small] [--seconds=6] [--sides=ours,plain,eager,compiled]

trains ResNet-18 on random 48-pixel images of 1 channel in bfloat16, with cross-entropy, SGD with
momentum and weight decay, and prints images per second: of ours, of plain Flax layers (both are
the steps of `step_cost`), and of PyTorch, eager and compiled, channels last, where it is installed
and has a GPU. Of three turns the fastest counts. A side that fails is reported and skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.measure import step_cost
from tests.measure.step_cost import CLASSES, STEMS

SIZE = 48
TURNS = 3
# Steps between two looks at the clock.
STEPS = 5


def rate(step: Callable[[], Any], wait: Callable[[Any], Any], batch: int, seconds: float) -> float:
    """Images per second of the fastest turn, after a turn that is not counted."""
    for _ in range(2 * STEPS):
        last = step()
    wait(last)
    fastest = 0.0
    for _ in range(TURNS):
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / TURNS:
            for _ in range(STEPS):
                last = step()
            wait(last)
            count += STEPS
        fastest = max(fastest, count * batch / (time.perf_counter() - start))
    return fastest


def in_jax(side: str, args: argparse.Namespace, batch: int) -> float:
    device = jax.devices()[0]
    start = time.perf_counter()
    program = step_cost.lower(side, args.attention, args.stem, batch, device).compile()
    print(f"{side} batch {batch}: compiled in {time.perf_counter() - start:.0f} s", flush=True)
    graphs = program.args_info[0]
    rng = np.random.default_rng(0)

    def filled(leaf: Any) -> jax.Array:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            # Positive, since some of these are variances.
            values = rng.uniform(0.01, 0.05, leaf.shape)
        else:
            values = rng.integers(0, CLASSES, leaf.shape)
        return jax.device_put(jnp.asarray(values, leaf.dtype), device)

    state, images, labels = jax.tree.map(filled, graphs)
    holder = [state]

    def step() -> jax.Array:
        holder[0], loss = program(holder[0], images, labels)
        return loss

    return rate(step, jax.block_until_ready, batch, args.seconds)


def in_torch(side: str, args: argparse.Namespace, batch: int) -> float:
    import torch
    from torch.nn import functional

    from tests.golden.torch_models import ResNet

    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    network: Any = ResNet(
        "resnet18", stem=args.stem, attention=args.attention, channels=1, num_classes=CLASSES
    )
    network = network.cuda().to(memory_format=torch.channels_last)
    run = torch.compile(network) if side == "compiled" else network
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.9, weight_decay=5e-4, fused=True
    )
    images = torch.randn(batch, 1, SIZE, SIZE, device="cuda")
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,), device="cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = functional.cross_entropy(run(images)[0].float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return rate(step, lambda _: torch.cuda.synchronize(), batch, args.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", default="128,512")
    parser.add_argument("--attention", choices=("none", "cbam"), default="cbam")
    parser.add_argument("--stem", choices=tuple(STEMS), default="small")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--sides", default="ours,plain,eager,compiled")
    args = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}", flush=True)
    for batch in map(int, args.batches.split(",")):
        for side in args.sides.split(","):
            in_other = side not in step_cost.SIDES
            if in_other and importlib.util.find_spec("torch") is None:
                print(f"{side} batch {batch}: PyTorch is not installed", flush=True)
                continue
            try:
                found = (in_torch if in_other else in_jax)(side, args, batch)
            except Exception as error:  # one side must not cost the others
                print(f"{side} batch {batch}: {type(error).__name__}: {error}"[:300], flush=True)
            else:
                print(f"{side} batch {batch}: {found:,.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
