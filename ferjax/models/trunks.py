"""Two trunks side by side: what every fusion is built on.

Shapes: B batch, H W C image, h w and r c maps, D width of a trunk's map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ferjax.errors import UserError, one_of
from ferjax.models import registry
from ferjax.models.layers.frozen import freeze
from ferjax.models.model import Model
from ferjax.models.registry import Common
from ferjax.models.resnet import STAGE_SIZES, ResNet
from ferjax.models.vgg import LAYOUTS, VGG

Trunk = ResNet | VGG
TRUNKS = (*STAGE_SIZES, *LAYOUTS)
DEFAULT_TRUNKS = ("resnet18", "resnet34")
MULTIPLE = 8  # D, the width of a trunk's map, as a multiple of the option `width`


class Fusion(Model):
    """Two trunks whose last maps are equally wide, D = 8 width.

    Args:
      trunks: two names of `TRUNKS`.
      common: what both trunks are built from.
      stem: of ResNets.
      width: channels of the first stage of each trunk.
      batch_norm: batch norm in VGGs.
      frozen: training does not change the trunks: their parameters are outside the optimizer, their
        batch norm is always in evaluation mode, and no activations are kept for a gradient.
      with_classifiers: whether the trunks have classifiers of their own.
    """

    unused_in_trunks: ClassVar[tuple[str, ...]] = ("fc", "classifier")  # of a ResNet and of a VGG

    def __init__(
        self,
        trunks: Sequence[str],
        common: Common,
        *,
        stem: str,
        width: int,
        batch_norm: bool,
        frozen: bool,
        with_classifiers: bool = False,
    ):
        if isinstance(trunks, str) or len(trunks) != 2:
            raise UserError(f"trunks is {trunks!r}; expected two of {', '.join(TRUNKS)}.")
        if not with_classifiers:
            common = dataclasses.replace(common, num_classes=None)
        given = {"stem": stem, "width": width, "batch_norm": batch_norm}
        self.trunk1, self.trunk2 = (_build(name, common, given) for name in trunks)
        self.num_features = MULTIPLE * width
        self.frozen = frozen
        if frozen:
            for trunk in (self.trunk1, self.trunk2):
                freeze(trunk)
                trunk.eval()

    @classmethod
    def supports_remat(cls, options: Mapping[str, Any]) -> bool:
        """True if one of the trunks is a ResNet."""
        return any(name in STAGE_SIZES for name in options.get("trunks", DEFAULT_TRUNKS))

    def train(self, **attributes: Any) -> None:
        """Sets training mode; frozen trunks stay in evaluation mode."""
        super().train(**attributes)
        if self.frozen:
            self.trunk1.eval()
            self.trunk2.eval()

    def maps(
        self, images: Float[Array, "B H W C"]
    ) -> tuple[Float[Array, "B h w D"], Float[Array, "B r c D"]]:
        """Returns the last map of each trunk; their sides may differ."""
        maps = self.trunk1.feature_map(images), self.trunk2.feature_map(images)
        first, second = jax.lax.stop_gradient(maps) if self.frozen else maps
        return self.record("trunk1", first), self.record("trunk2", second)

    def pooled(self, images: Float[Array, "B H W C"]) -> Float[Array, "B F"]:
        """Returns the means of both maps over their positions, F = 2 D, float32."""
        means = [jnp.mean(m, axis=(1, 2), dtype=jnp.float32) for m in self.maps(images)]
        return jnp.concatenate(means, axis=1)


def _build(name: str, common: Common, given: Mapping[str, Any]) -> Trunk:
    """A trunk with those of the given options that it has."""
    one_of("trunks", name, TRUNKS)
    remat = common.remat and name in STAGE_SIZES
    own = {option: given[option] for option in given if option in registry.options(name)}
    trunk = registry.build(name, dataclasses.replace(common, remat=remat), **own)
    assert isinstance(trunk, Trunk)
    return trunk
