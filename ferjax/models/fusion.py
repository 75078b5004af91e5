"""Two trunks under one classifier: attention fusion (Tran et al., tran2023) and its baselines.

  late    mean of the two softmaxes; nothing is trained
  early   frozen trunks, one dense layer on both pooled maps
  joint   the same graph, trained as a whole
  attention   frozen trunks, attention between their maps (`attention_fusion.py`)

Shapes: B batch, H W C image, h w map, D width of a trunk's map, K classes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ferjax.models.layers.basic import Dense
from ferjax.models.layers.frozen import freeze
from ferjax.models.layers.named import NamedModule
from ferjax.models.resnet import ResNet
from ferjax.models.vgg import VGG

Trunk = ResNet | VGG


class Fusion(NamedModule):
    """Two trunks side by side.

    Args:
      trunks: two models with `feature_map` whose maps are equally deep.
      frozen: keep the trunks as they are: parameters outside the optimizer, batch norm always in
        evaluation mode, no activations kept for a gradient.
    """

    def __init__(self, trunks: tuple[Trunk, Trunk], *, frozen: bool):
        self.trunk1, self.trunk2 = trunks
        self.frozen = frozen
        if frozen:
            for trunk in trunks:
                freeze(trunk)
                trunk.eval()

    def train(self, **attributes: Any) -> None:
        """Training mode, in which frozen trunks stay in evaluation mode."""
        super().train(**attributes)
        if self.frozen:
            self.trunk1.eval()
            self.trunk2.eval()

    def maps(
        self, images: Float[Array, "B H W C"]
    ) -> tuple[Float[Array, "B h w D"], Float[Array, "B r c D"]]:
        """Both trunks' last maps, whose sides may differ."""
        maps = self.trunk1.feature_map(images), self.trunk2.feature_map(images)
        return jax.lax.stop_gradient(maps) if self.frozen else maps

    def pooled(self, images: Float[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Both maps' means over positions, side by side, in float32."""
        means = [jnp.mean(m, axis=(1, 2), dtype=jnp.float32) for m in self.maps(images)]
        return jnp.concatenate(means, axis=1)


class ConcatFusion(Fusion):
    """Early fusion (frozen trunks) and joint fusion (trained ones): a dense layer on both.

    Args:
      trunks: two models with `feature_map`.
      num_features: D.
      num_classes: K.
      frozen: True for early, False for joint fusion.
    """

    def __init__(
        self,
        trunks: tuple[Trunk, Trunk],
        *,
        num_features: int,
        num_classes: int,
        frozen: bool,
    ):
        super().__init__(trunks, frozen=frozen)
        self.fc = Dense(2 * num_features, num_classes)

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B F"]]:
        """Returns (logits [B, K], both pooled maps [B, 2 D]); nothing in it needs `keys`."""
        features = self.pooled(images)
        return self.fc(features), features


class LateFusion(Fusion):
    """Late fusion: two whole classifiers whose probabilities are averaged.

    Args:
      trunks: two models with `feature_map` and `head`.
    """

    def __init__(self, trunks: tuple[Trunk, Trunk]):
        super().__init__(trunks, frozen=True)

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B F"]]:
        """Returns (log of the mean softmax [B, K], both pooled maps [B, 2 D])."""
        first, second = self.maps(images)
        logs = [
            jax.nn.log_softmax(trunk.head(maps)[0])
            for trunk, maps in ((self.trunk1, first), (self.trunk2, second))
        ]
        means = [jnp.mean(m, axis=(1, 2), dtype=jnp.float32) for m in (first, second)]
        logits = jnp.logaddexp(*logs) - jnp.log(2.0)
        return jax.lax.stop_gradient(logits), jnp.concatenate(means, axis=1)
