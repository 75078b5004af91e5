"""Weights and inputs that the golden files never store: both sides draw them again from a seed.

NumPy only. The script that makes the golden files feeds them to PyTorch, the tests feed them to
ferjax. Every tensor depends on (seed, its own name) alone, so adding a layer moves no other.
Names and layouts are torchvision's: conv kernels [out, in, h, w], dense kernels [out, in].
"""

import zlib
from collections.abc import Iterator, Mapping

import numpy as np

BLOCKS = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
REDUCTION = 16

Shape = tuple[int, ...]


def generator(seed: int, name: str) -> np.random.Generator:
    """The random stream of one named array."""
    return np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))


def resnet_shapes(
    name: str, *, stem: str, attention: str, channels: int, width: int, num_classes: int = 7
) -> dict[str, Shape]:
    """Names and shapes of a torchvision ResNet's state dict with attention blocks inside.

    Written out by hand; the script checks it against the PyTorch module's own state dict.
    """
    side = 7 if stem == "imagenet" else 3
    shapes: dict[str, Shape] = {"conv1.weight": (width, channels, side, side)}
    shapes |= batch_norm("bn1", width)
    inputs = width
    for stage, blocks in enumerate(BLOCKS[name]):
        outputs = width * 2**stage
        for index in range(blocks):
            block = f"layer{stage + 1}.{index}"
            shapes[f"{block}.conv1.weight"] = (outputs, inputs, 3, 3)
            shapes |= batch_norm(f"{block}.bn1", outputs)
            shapes[f"{block}.conv2.weight"] = (outputs, outputs, 3, 3)
            shapes |= batch_norm(f"{block}.bn2", outputs)
            shapes |= dict(_attention(block, attention, outputs))
            if inputs != outputs:
                shapes[f"{block}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                shapes |= batch_norm(f"{block}.downsample.1", outputs)
            inputs = outputs
    return shapes | dense("fc", inputs, num_classes)


def batch_norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.{k}": (width,) for k in ("weight", "bias", "running_mean", "running_var")}


def dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _attention(block: str, attention: str, width: int) -> Iterator[tuple[str, Shape]]:
    hidden = width // REDUCTION
    if attention == "none":
        return
    gate = f"{block}.se" if attention == "se" else f"{block}.cbam.channel"
    yield from dense(f"{gate}.fc1", width, hidden).items()
    yield from dense(f"{gate}.fc2", hidden, width).items()
    if attention == "cbam":
        yield f"{block}.cbam.spatial.conv.weight", (1, 2, 7, 7)
        yield from batch_norm(f"{block}.cbam.spatial.bn", 1).items()


def random_state_dict(shapes: Mapping[str, Shape], seed: int) -> dict[str, np.ndarray]:
    """float32 weights with nothing left at its usual initial value, and activations of order 1.

    Kernels are normal with variance 2 / fan-in (1 / fan-in for the classifier); scales and running
    variances are uniform in [0.5, 1.5]; biases and running means are normal times 0.2.
    """
    return {name: _draw(name, shape, seed) for name, shape in shapes.items()}


def _draw(name: str, shape: Shape, seed: int) -> np.ndarray:
    rng = generator(seed, name)
    if len(shape) > 1:
        gain = 1.0 if name == "fc.weight" else 2.0
        values = rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    elif name.endswith((".weight", ".running_var")):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) * 0.2
    return values.astype(np.float32)


def probe(name: str, shape: Shape) -> np.ndarray:
    """A fixed random direction [shape], float64: an array is summed up by its product with it."""
    return generator(0, f"probe:{name}").standard_normal(shape)


def random_images(seed: int, batch: int, size: int, channels: int) -> np.ndarray:
    """Smooth random images, float32 [batch, size, size, channels], of mean 0 and variance 1.

    Coarse noise enlarged 4 times plus fine noise: neighbouring pixels differ, yet agree in part.
    """
    rng = generator(seed, "images")
    coarse = rng.standard_normal((batch, -(-size // 4), -(-size // 4), channels))
    coarse = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :size, :size]
    fine = rng.standard_normal((batch, size, size, channels))
    return (0.8 * coarse + 0.6 * fine).astype(np.float32)


def random_labels(seed: int, batch: int, num_classes: int = 7) -> np.ndarray:
    """Random class indices, int32 [batch]."""
    return generator(seed, "labels").integers(0, num_classes, batch).astype(np.int32)


def checksum(arrays: Mapping[str, np.ndarray]) -> int:
    """CRC-32 over the bytes of all arrays in the order of their names."""
    crc = 0
    for name in sorted(arrays):
        crc = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), crc)
    return crc
