"""What the golden files hold: one list for the script that makes them and for the tests."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from . import weights

DIRECTORY = Path(__file__).parent
# The order of FER2013's own label numbers.
FER2013_NAMES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER2013_MEAN, FER2013_STD = 0.5077, 0.2550


@dataclasses.dataclass(frozen=True)
class Network:
    """One ResNet and the seed of its weights."""

    name: str = "resnet18"
    stem: str = "half"
    attention: str = "none"
    channels: int = 1
    width: int = 16
    seed: int = 1

    def state_dict(self) -> dict[str, np.ndarray]:
        """The initial weights, under torchvision's names."""
        shapes = weights.resnet_shapes(
            self.name,
            stem=self.stem,
            attention=self.attention,
            channels=self.channels,
            width=self.width,
        )
        return weights.random_state_dict(shapes, self.seed)


@dataclasses.dataclass(frozen=True)
class Forward:
    """One batch through a network in evaluation mode, and with `backward` a training step's too.

    A ReLU or a maximum that float32 decides the other way changes a gradient by far more than
    rounding does, so only cases where float32 decides as float64 does go backward.
    """

    network: Network
    backward: bool = False
    batch: int = 4
    image_size: int = 48

    @property
    def key(self) -> str:
        """The name of the case, and of its file."""
        n = self.network
        return f"forward_{n.name}_{n.attention}_{n.stem}_w{n.width}_c{n.channels}"

    def inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 [B, H, W, C] and labels int32 [B]."""
        n = self.network
        images = weights.random_images(n.seed, self.batch, self.image_size, n.channels)
        return images, weights.random_labels(n.seed, self.batch)


@dataclasses.dataclass(frozen=True)
class Training:
    """Steps of SGD (momentum 0.9, not Nesterov) from fixed weights, without augmentation.

    Weight decay is added to the gradient of conv and dense kernels only. `island` adds
    weight * island loss; the centres move by their own rule after each step's gradients are taken.
    """

    key: str
    network: Network
    steps: int
    batch: int
    island: bool = False
    # Whether the file also says how far every parameter has moved.
    moves: bool = False
    # Steps of 0.01 from weights as random as these are chaotic: rounding grows tenfold a step.
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 5e-4
    weight: float = 0.5
    pairwise_weight: float = 0.5
    alpha: float = 0.5

    def centers(self) -> np.ndarray:
        """Initial centres, float32 [7, 8 * width], standard normal."""
        rng = weights.generator(self.network.seed, "centers")
        return rng.standard_normal((7, 8 * self.network.width)).astype(np.float32)

    def random_batches(self) -> tuple[np.ndarray, np.ndarray]:
        """Normalised images float32 [steps, B, 48, 48, 1] and labels int32 [steps, B], drawn."""
        rng = weights.generator(self.network.seed, "batches")
        labels = rng.integers(0, 7, (self.steps, self.batch)).astype(np.int32)
        coarse = rng.integers(0, 200, (self.steps, self.batch, 12, 12, 1), dtype=np.uint8)
        pixels = coarse.repeat(4, axis=2).repeat(4, axis=3)
        pixels += rng.integers(0, 56, pixels.shape, dtype=np.uint8)
        return normalise(pixels), labels

    def fer2013_batches(self, zip_path: str) -> tuple[np.ndarray, np.ndarray]:
        """The same shapes from FER2013's folder zip: training images drawn without repetition."""
        with zipfile.ZipFile(zip_path) as archive:
            names = sorted(n for n in archive.namelist() if n.startswith("train/"))
            rng = weights.generator(self.network.seed, "batches")
            drawn = rng.choice(len(names), self.steps * self.batch, replace=False)
            files = [names[i] for i in drawn]
            pixels = np.stack([_decode(archive, file) for file in files])
        labels = np.array([FER2013_NAMES.index(f.split("/")[1]) for f in files], np.int32)
        shape = (self.steps, self.batch)
        return normalise(pixels).reshape(*shape, 48, 48, 1), labels.reshape(shape)


def _decode(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as file:
        return np.asarray(Image.open(file).convert("L"))


def normalise(pixels: np.ndarray) -> np.ndarray:
    """uint8 -> float32 (x / 255 - mean) / std, with FER2013's grey mean and deviation."""
    return ((pixels / 255.0 - FER2013_MEAN) / FER2013_STD).astype(np.float32)


FORWARD = (
    Forward(Network(attention="none", stem="imagenet", channels=3, width=64)),
    Forward(Network(attention="cbam", stem="half", width=64)),
    Forward(Network("resnet10", attention="se", stem="small", channels=3)),
    Forward(Network("resnet10", attention="none", stem="small")),
    Forward(Network("resnet10", attention="none", stem="half"), backward=True),
    Forward(Network(attention="se", stem="imagenet"), backward=True),
    Forward(Network("resnet10", attention="se", stem="half")),
    Forward(Network("resnet10", attention="cbam", stem="imagenet"), backward=True),
    Forward(Network("resnet10", attention="cbam", stem="small")),
    Forward(Network(name="resnet34", attention="cbam", stem="half", channels=3)),
)

# A decay this strong makes up most of a kernel's way, and would of anything decayed by mistake.
TRAINING_ISLAND = Training(
    "training_island",
    Network("resnet10", attention="cbam", stem="half", seed=6),
    steps=8,
    batch=32,
    island=True,
    moves=True,
    learning_rate=0.003,
    weight_decay=0.05,
)
TRAINING_SOFTMAX = Training(
    "training_softmax",
    Network(attention="cbam", stem="half", seed=2),
    steps=8,
    batch=32,
    learning_rate=0.003,
    weight_decay=0.05,
)
TRAINING_FER2013 = Training(
    "training_fer2013", Network(attention="cbam", stem="half", width=64, seed=3), steps=20, batch=64
)


def load(key: str) -> dict[str, np.ndarray]:
    """The arrays of one golden file."""
    with np.load(DIRECTORY / f"{key}.npz", allow_pickle=False) as file:
        return dict(file)
