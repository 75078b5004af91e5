"""Names and shapes of the state dicts of VGG, tam2021, luo2023 and tran2023, in PyTorch's layout.

Written out by hand, NumPy only; the script checks them against the PyTorch modules' state dicts.
Widths are given as that of the first layer, 64 in the papers.
"""

from collections.abc import Sequence

from .weights import REDUCTION, Shape, batch_norm, dense, resnet_shapes

# Convolutions before each of the five pools.
VGG_STAGES = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}

Shapes = dict[str, Shape]


def shapes(name: str, *, channels: int, image_size: int, width: int, **options) -> Shapes:
    """The state dict of the model that ferjax and torch_papers call `name`."""
    if name in VGG_STAGES:
        options.pop("dropout", None)
        return vgg(name, channels, width, **options) | vgg_head(width)
    if name == "vgg19_attention":
        options.pop("dropout", None)
        return vgg19_attention(channels, image_size, width, **options)
    if name == "se_cnn":
        return se_cnn(channels, image_size, width, **options)
    heads = name == "late_fusion"
    trunks = {key: options.pop(key) for key in ("trunks", "stem", "batch_norm") if key in options}
    both = two_trunks(channels, width, heads=heads, **trunks)
    if heads:
        return both
    if name == "attention_fusion":
        return both | attention_fusion(width, **options)
    return both | dense("fc", 2 * 8 * width, 7)


def conv(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, 3, 3), f"{name}.bias": (outputs,)}


def vgg(name: str, channels: int, width: int, batch_norm: bool = False) -> Shapes:
    """The convolutional layers: `features.N` counts ReLUs and pools too."""
    found: Shapes = {}
    index, inputs = 0, channels
    for stage, count in enumerate(VGG_STAGES[name]):
        outputs = width * min(2**stage, 8)
        for _ in range(count):
            found |= conv(f"features.{index}", inputs, outputs)
            if batch_norm:
                found |= _batch_norm(f"features.{index + 1}", outputs)
            index += 3 if batch_norm else 2
            inputs = outputs
        index += 1
    return found


_batch_norm = batch_norm  # VGG has an option of this name


def vgg_head(width: int) -> Shapes:
    hidden = 64 * width
    return (
        dense("classifier.0", 8 * width * 49, hidden)
        | dense("classifier.3", hidden, hidden)
        | dense("classifier.6", hidden, 7)
    )


def vgg19_attention(
    channels: int,
    image_size: int,
    width: int,
    attention: str = "concat",
    attention_bias: bool = False,
    batch_norm: bool = False,
) -> Shapes:
    found = vgg("vgg19", channels, width, batch_norm)
    if attention != "none":
        found["spatial.weight"] = (1, 2, 7, 7)
        if attention_bias:
            found["spatial.bias"] = (1,)
    depth = 8 * width + (attention == "concat")
    found |= dense("fc1", (image_size // 32) ** 2 * depth, 64 * width)
    return found | dense("fc2", 64 * width, 7)


def se_cnn(
    channels: int,
    image_size: int,
    width: int,
    attention: str | None = "se",
    se_position: str = "block",
    se_bias: bool = True,
    batch_norm: bool = True,
) -> Shapes:
    found: Shapes = {}
    inputs = channels
    for block in range(3):
        outputs = width * 2**block
        for index in (1, 2):
            found |= conv(f"blocks.{block}.conv{index}", inputs, outputs)
            if batch_norm:
                found |= _batch_norm(f"blocks.{block}.bn{index}", outputs)
            if attention == "se" and (index == 2 or se_position == "conv"):
                hidden = max(outputs // REDUCTION, 1)
                gate = f"blocks.{block}.se{index}"
                both = dense(f"{gate}.fc1", outputs, hidden) | dense(f"{gate}.fc2", hidden, outputs)
                found |= {k: v for k, v in both.items() if se_bias or k.endswith(".weight")}
            inputs = outputs
    found |= dense("fc1", (image_size // 8) ** 2 * inputs, 4 * width)
    return found | dense("fc2", 4 * width, 7)


def two_trunks(
    channels: int,
    width: int,
    trunks: Sequence[str],
    stem: str = "imagenet",
    batch_norm: bool = False,
    *,
    heads: bool,
) -> Shapes:
    """Both trunks, with their own classifiers where `heads` says so."""
    found: Shapes = {}
    for position, name in enumerate(trunks, start=1):
        if name in VGG_STAGES:
            own = vgg(name, channels, width, batch_norm)
            own |= vgg_head(width) if heads else {}
        else:
            own = resnet_shapes(name, stem=stem, attention="none", channels=channels, width=width)
            own = {k: v for k, v in own.items() if heads or not k.startswith("fc.")}
        found |= {f"trunk{position}.{k}": v for k, v in own.items()}
    return found


def attention_fusion(
    width: int,
    tokens: str = "space",
    feature: str = "map",
    projections: bool = False,
    local_attention: bool = True,
    local_gate: bool = True,
    frozen: bool = True,
) -> Shapes:
    """All but the trunks. Some options change no shape."""
    depth = 8 * width
    found = dense("mlp1", 2 * depth, depth) | dense("mlp2", depth, depth) | dense("fc", depth, 7)
    if projections:
        size = 1 if tokens == "channel" else depth
        found |= dense("query", size, size) | dense("key", size, size)
    if local_attention:
        found |= dense("local.fc1", depth, depth) | dense("local.fc2", depth, depth)
        found |= {"local.conv.weight": (depth, depth, 3), "local.conv.bias": (depth,)}
    return found
