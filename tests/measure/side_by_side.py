"""Training speed of ResNet-18 here and of the same network in PyTorch, on this machine's CPU.

    python -m tests.measure.side_by_side [--stems=half,small] [--attentions=none,cbam] [--steps=3]

trains both on the same random 48-pixel images (batch 128, float32, SGD with momentum; PyTorch eager
and channels_last) and prints images per second. Each has a process of its own; they take two turns
of several steps and the fastest step of each counts, so that other load on the machine hurts both
alike. Turns of one step would measure how fast a virtual machine gets back the memory that it gave
away while the other program ran. CPU seconds are those of the step that used the fewest. Needs
torch; pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Waiting threads that spin would take the other program's turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

from ferjax import models
from ferjax.cli.huge_pages import restart_with_huge_pages
from ferjax.models.functional import split_model
from ferjax.training.step import Recipe, init_state, train_step

BATCH, SIZE, CLASSES = 128, 48, 7
RATE, MOMENTUM = 0.01, 0.9
STEMS = {"imagenet": (7, 2, True), "small": (3, 1, False), "half": (3, 2, False)}


class Squeeze(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.fc1, self.fc2 = (
            nn.Linear(features, features // 16),
            nn.Linear(features // 16, features),
        )

    def mlp(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.relu(self.fc1(pooled)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.mlp(x.mean((2, 3))))[:, :, None, None]


class Cbam(Squeeze):
    def __init__(self, features: int):
        super().__init__(features)
        self.conv, self.bn = nn.Conv2d(2, 1, 7, padding=3, bias=False), nn.BatchNorm2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3))))
        x = x * gate[:, :, None, None]
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.bn(self.conv(pooled)))


ATTENTIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda features: nn.Identity(),
    "se": Squeeze,
    "cbam": Cbam,
}


class Block(nn.Module):
    def __init__(self, inputs: int, features: int, stride: int, attention: str):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
        self.attention = ATTENTIONS[attention](features)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != features:
            projection = nn.Conv2d(inputs, features, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.attention(self.bn2(self.conv2(y))) + self.shortcut(x))


def torch_model(stem: str, attention: str) -> nn.Module:
    kernel, stride, pool = STEMS[stem]
    layers: list[nn.Module] = [nn.Conv2d(1, 64, kernel, stride, kernel // 2, bias=False)]
    layers += [nn.BatchNorm2d(64), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, 1)] if pool else []
    inputs = 64
    for features in (64, 128, 256, 512):
        layers.append(Block(inputs, features, 1 if features == 64 else 2, attention))
        layers.append(Block(features, features, 1, attention))
        inputs = features
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, CLASSES))


def torch_step(stem: str, attention: str) -> Callable[[], object]:
    model = torch_model(stem, attention).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=MOMENTUM, nesterov=True)
    images, labels = random_batch()
    x = torch.tensor(images).permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
    y = torch.tensor(labels).long()

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ferjax_step(stem: str, attention: str) -> Callable[[], object]:
    model = models.create(
        "resnet18",
        num_classes=CLASSES,
        channels=1,
        image_size=SIZE,
        stem=stem,
        attention=attention,
        rngs=nnx.Rngs(0),
    )
    graphdef, weights = split_model(model)
    recipe = Recipe(graphdef, optax.sgd(RATE, momentum=MOMENTUM, nesterov=True))
    state = init_state(recipe, weights, num_classes=CLASSES, num_features=512, seed=0)
    images, labels = (jnp.asarray(array) for array in random_batch())
    compiled = jax.jit(lambda *arguments: train_step(recipe, *arguments), donate_argnums=0)

    def step() -> float:
        nonlocal state
        state, metrics = compiled(state, images, labels)
        return float(metrics["loss"])

    return step


def random_batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, SIZE, SIZE, 1)).astype(np.float32)
    return images, rng.integers(0, CLASSES, BATCH).astype(np.int32)


def cost(step: Callable[[], object]) -> tuple[float, float]:
    """Seconds and CPU seconds of one step."""
    usage, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    step()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return seconds, after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime


def serve(make: Callable[[str, str], Callable[[], object]], connection: Connection) -> None:
    """In a process of its own: builds a step from (stem, attention), then times those asked for."""
    step = make(*connection.recv())
    while count := connection.recv():
        connection.send([cost(step) for _ in range(count)])


class Program:
    """One of the two programs. Each has a process, and so a heap and threads, for itself."""

    def __init__(self, make: Callable[[str, str], Callable[[], object]], *variant: str):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=serve, args=(make, other))
        self.process.start()
        self.connection.send(variant)

    def turn(self, count: int) -> list[tuple[float, float]]:
        """Seconds and CPU seconds of each of the next steps; the other program waits meanwhile."""
        self.connection.send(count)
        return self.connection.recv()

    def close(self) -> None:
        self.connection.send(0)
        self.process.join()


def compare(stem: str, attention: str, steps: int) -> dict[str, object]:
    ours, theirs = (Program(make, stem, attention) for make in (ferjax_step, torch_step))
    compile_seconds = ours.turn(1)[0][0]
    theirs.turn(1)
    costs: tuple[list, list] = ([], [])
    for _ in range(2):
        for program, own in zip((ours, theirs), costs, strict=True):
            own.extend(program.turn(steps))
    ours.close()
    theirs.close()
    (seconds, cpu), (torch_seconds, torch_cpu) = (
        tuple(min(cost[i] for cost in own) for i in range(2)) for own in costs
    )
    return {
        "stem": stem,
        "attention": attention,
        "ferjax_images_per_second": BATCH / seconds,
        "torch_images_per_second": BATCH / torch_seconds,
        "ratio": torch_seconds / seconds,
        "ferjax_cpu_seconds": cpu,
        "torch_cpu_seconds": torch_cpu,
        "cpu_ratio": torch_cpu / cpu,
        "first_step_seconds": compile_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--stems", default=",".join(STEMS))
    parser.add_argument("--attentions", default=",".join(ATTENTIONS))
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a turn")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    flags = parser.parse_args()
    rows = []
    print("stem      attention  ferjax img/s  torch img/s  ratio  CPU ratio  first step s")
    for stem in flags.stems.split(","):
        for attention in flags.attentions.split(","):
            row = compare(stem, attention, flags.steps)
            rows.append(row)
            print(
                f"{stem:<9} {attention:<9} {row['ferjax_images_per_second']:>13.1f}"
                f" {row['torch_images_per_second']:>12.1f} {row['ratio']:>6.2f}"
                f" {row['cpu_ratio']:>10.2f} {row['first_step_seconds']:>13.1f}",
                flush=True,
            )
    if flags.json:
        flags.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    restart_with_huge_pages()  # as ferjax's commands do; PyTorch gets them too
    main()
