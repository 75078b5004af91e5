"""Inference here, in ONNX Runtime and in PyTorch, of one network on this machine's CPU.

    pip install torch onnx onnxscript onnxruntime
    python -m tests.measure.inference_speed [--batches=1,64,512] [--rounds=7]
        [--stem=small|half|imagenet] [--attention=cbam|se|none]

builds ResNet-18 in PyTorch (`tests.golden.torch_models`), exports it to ONNX, and loads its weights
here. All three get the same float32 images and their outputs are compared. They run in one process,
in turns; the fastest of their turns counts, so that other load on the machine hurts all alike.
pytest does not collect this file.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Waiting threads that spin would take the other programs' turns.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import jax
import numpy as np
import onnxruntime
import torch
from flax import nnx

from ferjax import models
from ferjax.cli.huge_pages import restart_with_huge_pages
from ferjax.models import functional
from tests.golden.torch_models import ResNet

SIZE, CLASSES = 48, 7
CORES = os.cpu_count() or 1
# A turn lasts at least so long, in seconds.
TURN = 0.5


def peer(stem: str, attention: str) -> torch.nn.Module:
    """The network in PyTorch; its batch norms have seen some images."""
    torch.manual_seed(0)
    network = ResNet("resnet18", stem=stem, attention=attention, channels=1, num_classes=CLASSES)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


def exported(network: torch.nn.Module, batch: int, folder: Path) -> onnxruntime.InferenceSession:
    """The network in ONNX Runtime, for batches of this size."""
    path = folder / f"{batch}.onnx"
    example = (torch.zeros(batch, 1, SIZE, SIZE),)
    torch.onnx.export(network, example, path, dynamo=True, verbose=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def runners(
    stem: str, attention: str, batch: int, folder: Path
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> function from images [B, H, W, 1] to logits."""
    network = peer(stem, attention)
    session = exported(network, batch, folder)
    (entry,) = session.get_inputs()
    fast = network.to(memory_format=torch.channels_last)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    model = models.create(
        "resnet18", num_classes=CLASSES, stem=stem, attention=attention, rngs=nnx.Rngs(0)
    )
    models.weights.load_torchvision(model, state)
    graphdef, weights = functional.fold(*functional.split_model(model))
    program = jax.jit(lambda weights, x: functional.forward(graphdef, weights, x)[0])

    def of_torch(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous(
            memory_format=torch.channels_last
        )
        with torch.inference_mode():
            return fast(x)[0].numpy()

    return {
        "ferjax": lambda images: np.asarray(program(weights, images)),
        "ONNX Runtime": lambda images: session.run(
            None, {entry.name: images.transpose(0, 3, 1, 2)}
        )[0],
        "PyTorch": of_torch,
    }


def turn(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> float:
    """Images per second, of the fastest run in a turn."""
    fastest, end = float("inf"), time.perf_counter() + TURN
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(images)
        fastest = min(fastest, time.perf_counter() - start)
    return len(images) / fastest


def main() -> None:
    restart_with_huge_pages()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", default="1,64,512")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--stem", choices=("small", "half", "imagenet"), default="small")
    parser.add_argument("--attention", choices=("cbam", "se", "none"), default="cbam")
    args = parser.parse_args()
    torch.set_num_threads(CORES)
    versions = f"jax {jax.__version__}, ONNX Runtime {onnxruntime.__version__}, "
    print(f"{versions}PyTorch {torch.__version__}, {CORES} cores", flush=True)
    for batch in map(int, args.batches.split(",")):
        images = np.random.default_rng(0).standard_normal((batch, SIZE, SIZE, 1), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            programs = runners(args.stem, args.attention, batch, Path(folder))
            outputs = {name: run(images) for name, run in programs.items()}
            for output in outputs.values():
                expected = outputs["PyTorch"]
                np.testing.assert_allclose(output, expected, rtol=0, atol=1e-4 * expected.std())
            best = dict.fromkeys(programs, 0.0)
            for _ in range(args.rounds):
                for name, run in programs.items():
                    best[name] = max(best[name], turn(run, images))
        shown = ", ".join(f"{name} {rate:,.1f}" for name, rate in best.items())
        ratio = best["ferjax"] / best["ONNX Runtime"]
        print(f"batch {batch}: {shown} images/s; {ratio:.2f} of ONNX Runtime's", flush=True)


if __name__ == "__main__":
    main()
