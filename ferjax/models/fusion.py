"""The baselines of attention fusion (Tran et al., tran2023): two trunks, fused without attention.

  late    mean of the two softmaxes; nothing is trained
  early   frozen trunks, one dense layer on both pooled maps
  joint   the graph of early fusion, trained as a whole

Shapes: B batch, H W C image, D width of a trunk's map, F = 2 D features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ferjax.models.layers.basic import Dense
from ferjax.models.registry import Common, register
from ferjax.models.trunks import DEFAULT_TRUNKS, Fusion

# Whether the trunks are frozen.
CONCAT_FUSIONS = {"early_fusion": True, "joint_fusion": False}


@register(CONCAT_FUSIONS)
class ConcatFusion(Fusion):
    """Early fusion (frozen trunks) and joint fusion (trained trunks): a dense layer on both.

    Args:
      frozen: True for early, False for joint fusion.
      num_classes: K.
      common: what the trunks are built from.
      trunks: names of the two trunks.
      stem: of ResNets.
      width: channels of the first stage of each trunk; D is eight times as many.
      batch_norm: batch norm in VGGs.
    """

    classifier_name = "fc"

    def __init__(
        self,
        frozen: bool,
        *,
        num_classes: int,
        common: Common,
        trunks: Sequence[str] = DEFAULT_TRUNKS,
        stem: str = "imagenet",
        width: int = 64,
        batch_norm: bool = False,
    ):
        super().__init__(
            trunks, common, stem=stem, width=width, batch_norm=batch_norm, frozen=frozen
        )
        self.fc = Dense(2 * self.num_features, num_classes)

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B F"]]:
        """Returns (logits [B, K], both pooled maps [B, 2 D]), float32; `keys` are not used."""
        features = self.record("features", self.pooled(images))
        return self.fc(features), features


@register("late_fusion")
class LateFusion(Fusion):
    """Late fusion: two whole classifiers whose probabilities are averaged.

    Args:
      common: what the trunks are built from, with `num_classes`.
      trunks: names of the two trunks.
      stem: of ResNets.
      width: channels of the first stage of each trunk; D is eight times as many.
      batch_norm: batch norm in VGGs.
    """

    is_trainable = False
    unused_in_trunks = ()

    def __init__(
        self,
        *,
        common: Common,
        trunks: Sequence[str] = DEFAULT_TRUNKS,
        stem: str = "imagenet",
        width: int = 64,
        batch_norm: bool = False,
    ):
        super().__init__(
            trunks,
            common,
            stem=stem,
            width=width,
            batch_norm=batch_norm,
            frozen=True,
            with_classifiers=True,
        )

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B F"]]:
        """Returns (log of the mean softmax [B, K], both pooled maps [B, 2 D]), float32."""
        first, second = self.maps(images)
        logs = [
            jax.nn.log_softmax(trunk.head(maps)[0])
            for trunk, maps in ((self.trunk1, first), (self.trunk2, second))
        ]
        means = [jnp.mean(m, axis=(1, 2), dtype=jnp.float32) for m in (first, second)]
        logits = jnp.logaddexp(*logs) - jnp.log(2.0)
        features = self.record("features", jnp.concatenate(means, axis=1))
        return jax.lax.stop_gradient(logits), features
