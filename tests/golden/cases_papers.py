"""What papers.npz holds: one list for the script that makes it and for the tests.

Widths and images are small. The side of an image decides how large the last convolutional maps are:
VGG's is a 32nd of it, rounded down; a ResNet's a 32nd ("imagenet") or a 16th ("half"), rounded up.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import weights, weights_papers

FILE = "papers"
BATCH = 4
LEARNING_RATE = 0.01
# Kernels of the trunks are this much smaller than the others, by the beginning of the trunk's name:
# their maps are then of order 1, and neither attention nor softmax picks one entry alone.
TRUNK_GAINS = {"resnet": 0.7, "vgg": 0.9}
# Columns of the features that the file holds, besides one random combination of all of them.
COLUMNS = 15


@dataclasses.dataclass(frozen=True)
class Paper:
    """One batch through a network in evaluation mode, and with `step` one step of training.

    As a ReLU that is decided the other way changes gradients far more than rounding does, the seeds
    of the steps are such that rounding decides none that matters (see make_papers.step).
    """

    key: str
    name: str
    image_size: int
    channels: int = 1
    width: int = 8
    seed: int = 1
    step: bool = False
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What both `create` functions take besides the name."""
        sizes = {k: getattr(self, k) for k in ("channels", "image_size", "width")}
        return sizes | dict(self.options)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The initial weights in PyTorch's layout."""
        shapes = weights_papers.shapes(self.name, **self.arguments)
        drawn = weights.random_state_dict(shapes, self.seed)
        for position, trunk in enumerate(self.options.get("trunks", ()), start=1):
            gain = np.float32(TRUNK_GAINS[trunk.rstrip("0123456789")])
            for name, array in drawn.items():
                if name.startswith(f"trunk{position}.") and array.ndim > 1:
                    array *= gain
        return drawn

    def inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Images float32 [B, H, W, C] and labels int32 [B]."""
        images = weights.random_images(self.seed, BATCH, self.image_size, self.channels)
        return images, weights.random_labels(self.seed, BATCH)

    def checksums(self) -> np.ndarray:
        """Of the weights and of the inputs, uint32 [2]."""
        images, labels = self.inputs()
        inputs = weights.checksum({"images": images, "labels": labels})
        return np.array([weights.checksum(self.state_dict()), inputs], np.uint32)


def summary(features: np.ndarray) -> np.ndarray:
    """[B, D] -> [B, COLUMNS + 1]: evenly spaced columns, and a random combination of all."""
    width = features.shape[1]
    columns = np.linspace(0, width - 1, COLUMNS).astype(int)
    combined = features @ weights.probe("features", (width,)) / np.sqrt(width)
    return np.concatenate([features[:, columns], combined[:, None]], axis=1)


def _vgg(key: str, name: str, image_size: int, **options: Any) -> Paper:
    fields = {k: options.pop(k) for k in ("channels", "seed", "step", "width") if k in options}
    return Paper(key, name, image_size, options=options, **fields)


def _fusion(key: str, image_size: int, *trunks: str, name="attention_fusion", **options) -> Paper:
    return _vgg(key, name, image_size, trunks=trunks, **options)


CASES = (
    # The maps before the classifier's 7x7: 2x2, 1x1, 2x2, 1x1, and 8x8, whose bins overlap.
    _vgg("vgg11_bn", "vgg11", 64, channels=3, batch_norm=True, dropout=0.0, step=True),
    _vgg("vgg13", "vgg13", 32),
    _vgg("vgg16", "vgg16", 64, channels=3),
    _vgg("vgg19_bn", "vgg19", 48, batch_norm=True),
    _vgg("vgg11_large", "vgg11", 256),
    _vgg("tam_concat", "vgg19_attention", 64, channels=3, dropout=0.0, step=True),
    _vgg("tam_concat_bias", "vgg19_attention", 96, attention_bias=True),
    _vgg("tam_multiply", "vgg19_attention", 64, attention="multiply"),
    _vgg("tam_none_bn", "vgg19_attention", 64, attention="none", batch_norm=True),
    _vgg("luo_se", "se_cnn", 48, width=16, seed=3, step=True),
    _vgg("luo_se_conv", "se_cnn", 32, channels=3, width=16, se_position="conv"),
    _vgg("luo_se_conv_no_bias", "se_cnn", 40, se_position="conv", se_bias=False),
    _vgg("luo_se_plain", "se_cnn", 32, batch_norm=False),
    _vgg("luo_bn", "se_cnn", 48, attention=None),
    _vgg("luo_plain", "se_cnn", 36, channels=3, attention=None, batch_norm=False),
    # 4x4 and 2x2.
    _fusion("space", 64, "resnet18", "vgg11", stem="half", step=True),
    _fusion("space_joint", 64, "vgg11", "resnet18", stem="half", frozen=False, step=True),
    # 2x2 and 3x3.
    _fusion(
        "space_projections",
        80,
        "vgg13",
        "resnet18",
        channels=3,
        batch_norm=True,
        projections=True,
        local_gate=False,
    ),
    # 2x2 both.
    _fusion("space_resnets", 32, "resnet18", "resnet34", stem="half", local_attention=False),
    _fusion("pooled", 64, "vgg13", "vgg11", feature="pooled"),
    _fusion("pooled_projections", 32, "vgg11", "vgg11", feature="pooled", projections=True),
    # 3x3 and 4x4: the mean of a map enlarged by this ratio is another than its own.
    _fusion("channel", 112, "vgg11", "resnet18", tokens="channel"),
    _fusion("channel_projections", 32, "vgg13", "vgg11", tokens="channel", projections=True),
    _fusion("batch", 64, "vgg11", "vgg13", tokens="batch"),
    _fusion(
        "batch_projections",
        32,
        "vgg16",
        "vgg11",
        batch_norm=True,
        tokens="batch",
        projections=True,
        local_gate=False,
    ),
    _fusion("early", 64, "vgg11", "resnet18", name="early_fusion"),
    _fusion("joint", 64, "vgg13", "vgg11", name="joint_fusion", batch_norm=True, seed=4, step=True),
    _fusion("late", 64, "resnet18", "vgg11", stem="half", name="late_fusion"),
)
