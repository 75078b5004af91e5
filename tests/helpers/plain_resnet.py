"""A plain ResNet-18 of Flax's own layers, with or without CBAM: what `step_cost` compares with.

It is written as a competent user of Flax NNX writes it, in bfloat16 with float32 parameters, and is
frozen: it states what the library's layers cost, and a faster layer here would move the yardstick.
Shapes: B batch, H W C image, K classes.
"""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax import Array

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
REDUCTION = 16
# kernel, stride, whether a 3x3/2 max-pool follows
STEMS = {"imagenet": (7, 2, True), "half": (3, 2, False), "small": (3, 1, False)}


class CBAM(nnx.Module):
    """Woo et al. 2018: a gate on channels, then a gate on positions."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        linear = partial(nnx.Linear, dtype=jnp.bfloat16, rngs=rngs)
        self.fc1 = linear(features, features // REDUCTION)
        self.fc2 = linear(features // REDUCTION, features)
        self.conv = nnx.Conv(2, 1, (7, 7), use_bias=False, dtype=jnp.bfloat16, rngs=rngs)
        self.bn = nnx.BatchNorm(1, momentum=0.99, dtype=jnp.bfloat16, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        average, largest = jnp.mean(x, axis=(1, 2)), jnp.max(x, axis=(1, 2))
        gate = nnx.sigmoid(self.mlp(average) + self.mlp(largest))
        x = x * gate[:, None, None, :]
        pooled = [jnp.max(x, axis=3, keepdims=True), jnp.mean(x, axis=3, keepdims=True)]
        return x * nnx.sigmoid(self.bn(self.conv(jnp.concatenate(pooled, axis=3))))

    def mlp(self, pooled: Array) -> Array:
        return self.fc2(nnx.relu(self.fc1(pooled)))


class Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, *, cbam: bool, rngs: nnx.Rngs):
        conv = partial(nnx.Conv, use_bias=False, dtype=jnp.bfloat16, rngs=rngs)
        norm = partial(nnx.BatchNorm, outputs, momentum=0.9, dtype=jnp.bfloat16, rngs=rngs)
        self.conv1 = conv(inputs, outputs, (3, 3), strides=stride, padding=1)
        self.bn1 = norm()
        self.conv2 = conv(outputs, outputs, (3, 3), padding=1)
        self.bn2 = norm()
        self.cbam = CBAM(outputs, rngs=rngs) if cbam else None
        changes = stride != 1 or inputs != outputs
        self.shortcut = conv(inputs, outputs, (1, 1), strides=stride) if changes else None
        self.shortcut_bn = norm() if changes else None

    def __call__(self, x: Array) -> Array:
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.cbam is not None:
            y = self.cbam(y)
        if self.shortcut is not None and self.shortcut_bn is not None:
            x = self.shortcut_bn(self.shortcut(x))
        return nnx.relu(y + x)


class PlainResNet18(nnx.Module):
    """Images [B, H, W, C] to float32 logits [B, K]; the stem is one of `STEMS`."""

    def __init__(
        self,
        channels: int,
        num_classes: int,
        *,
        cbam: bool,
        stem: str = "imagenet",
        rngs: nnx.Rngs,
    ):
        size, stride, self.pool = STEMS[stem]
        self.conv1 = nnx.Conv(
            channels,
            64,
            (size, size),
            strides=stride,
            padding=size // 2,
            use_bias=False,
            dtype=jnp.bfloat16,
            rngs=rngs,
        )
        self.bn1 = nnx.BatchNorm(64, momentum=0.9, dtype=jnp.bfloat16, rngs=rngs)
        blocks, inputs = [], 64
        for features, stride in STAGES:
            blocks.append(Block(inputs, features, stride, cbam=cbam, rngs=rngs))
            blocks.append(Block(features, features, 1, cbam=cbam, rngs=rngs))
            inputs = features
        self.blocks = nnx.List(blocks)
        self.fc = nnx.Linear(inputs, num_classes, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        x = nnx.relu(self.bn1(self.conv1(images)))
        if self.pool:
            x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.fc(jnp.mean(x, axis=(1, 2), dtype=jnp.float32))
