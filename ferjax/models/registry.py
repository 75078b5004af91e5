"""The models by name, each with the options that it alone has.

A builder takes the keywords of `Common` and its own options; `models.create` checks the names.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx

from ferjax.errors import UserError, nearest, one_of
from ferjax.models import attention_fusion, resnet, se_cnn, vgg, vgg_attention
from ferjax.models.fusion import ConcatFusion, LateFusion, Trunk


@dataclasses.dataclass(frozen=True)
class Common:
    """What every model is built from; see `models.create`.

    Attributes:
      num_classes: K; None builds a trunk without its classifier.
      channels: of the images.
      image_size: side of the images.
      groups: of the batch, with normalisation statistics of their own.
      remat: whether ResNets trade compute for memory.
      dtype: the compute type.
    """

    num_classes: int | None
    channels: int
    image_size: int
    groups: int
    remat: bool
    dtype: jnp.dtype

    @property
    def classes(self) -> int:
        """K of a model that cannot be built without a classifier."""
        assert self.num_classes is not None
        return self.num_classes

    @property
    def trunk(self) -> dict[str, Any]:
        """Keywords that every trunk takes."""
        names = ("channels", "groups", "dtype")
        return {name: getattr(self, name) for name in names}


def at_least(field: str, value: int, least: int) -> None:
    """Raises a UserError if `value` is below `least`."""
    if value < least:
        raise UserError(f"{field} is {value}; it must be at least {least}.")


def _resnet(
    name: str,
    common: Common,
    *,
    stem: str = "small",
    attention: str | None = None,
    width: int = 64,
    se_bias: bool = True,
) -> resnet.ResNet:
    attention = None if attention == "none" else attention
    one_of("stem", stem, tuple(resnet.STEMS))
    one_of("attention", attention, resnet.ATTENTIONS)
    at_least("image_size", common.image_size, 16)
    at_least("width", width, 1)
    return resnet.ResNet(
        resnet.STAGE_SIZES[name],
        num_classes=common.num_classes,
        stem=stem,
        attention=attention,
        width=width,
        se_bias=se_bias,
        remat=common.remat,
        **common.trunk,
    )


def _vgg(
    name: str, common: Common, *, batch_norm: bool = False, width: int = 64, dropout: float = 0.5
) -> vgg.VGG:
    at_least("image_size", common.image_size, 32)
    at_least("width", width, 1)
    return vgg.VGG(
        vgg.LAYOUTS[name],
        num_classes=common.num_classes,
        batch_norm=batch_norm,
        width=width,
        dropout=dropout,
        **common.trunk,
    )


def _vgg_attention(
    name: str,
    common: Common,
    *,
    attention: str = "concat",
    attention_bias: bool = False,
    batch_norm: bool = False,
    width: int = 64,
    dropout: float = 0.5,
) -> vgg_attention.VGGAttention:
    one_of("attention", attention, vgg_attention.ATTENTIONS)
    at_least("width", width, 1)
    if common.image_size < 32 or common.image_size % 32:
        raise UserError(
            f"image_size is {common.image_size}; {name} needs a positive multiple of 32, as 224."
        )
    return vgg_attention.VGGAttention(
        num_classes=common.classes,
        image_size=common.image_size,
        attention=attention,
        attention_bias=attention_bias,
        batch_norm=batch_norm,
        width=width,
        dropout=dropout,
        **common.trunk,
    )


def _se_cnn(
    name: str,
    common: Common,
    *,
    attention: str | None = "se",
    se_position: str = "block",
    se_bias: bool = True,
    batch_norm: bool = True,
    width: int = 64,
) -> se_cnn.SECNN:
    attention = None if attention == "none" else attention
    one_of("attention", attention, (None, "se"))
    one_of("se_position", se_position, se_cnn.SE_POSITIONS)
    at_least("image_size", common.image_size, 8)
    at_least("width", width, 1)
    return se_cnn.SECNN(
        num_classes=common.classes,
        image_size=common.image_size,
        attention=attention,
        se_position=se_position,
        se_bias=se_bias,
        batch_norm=batch_norm,
        width=width,
        **common.trunk,
    )


TRUNKS = (*resnet.STAGE_SIZES, *vgg.LAYOUTS)


def _trunks(
    names: Sequence[str],
    common: Common,
    *,
    stem: str,
    width: int,
    batch_norm: bool,
    heads: bool = False,
) -> tuple[Trunk, Trunk]:
    if isinstance(names, str) or len(names) != 2:
        raise UserError(f"trunks is {names!r}; expected two of {', '.join(TRUNKS)}.")
    own = common if heads else dataclasses.replace(common, num_classes=None)
    trunks: list[Trunk] = []
    for name in names:
        one_of("trunks", name, TRUNKS)
        if name in resnet.STAGE_SIZES:
            trunks.append(_resnet(name, own, stem=stem, width=width))
        else:
            trunks.append(_vgg(name, own, batch_norm=batch_norm, width=width))
    return trunks[0], trunks[1]


def _attention_fusion(
    name: str,
    common: Common,
    *,
    trunks: Sequence[str] = ("resnet18", "resnet34"),
    stem: str = "imagenet",
    width: int = 64,
    batch_norm: bool = False,
    tokens: str = "space",
    feature: str = "map",
    projections: bool = False,
    local_attention: bool = True,
    local_gate: bool = True,
    frozen: bool = True,
) -> attention_fusion.AttentionFusion:
    one_of("tokens", tokens, attention_fusion.TOKENS)
    one_of("feature", feature, attention_fusion.FEATURES)
    built = _trunks(trunks, common, stem=stem, width=width, batch_norm=batch_norm)
    return attention_fusion.AttentionFusion(
        built,
        num_features=8 * width,
        num_classes=common.classes,
        tokens=tokens,
        feature=feature,
        projections=projections,
        local_attention=local_attention,
        local_gate=local_gate,
        frozen=frozen,
    )


def _concat_fusion(
    name: str,
    common: Common,
    *,
    trunks: Sequence[str] = ("resnet18", "resnet34"),
    stem: str = "imagenet",
    width: int = 64,
    batch_norm: bool = False,
) -> ConcatFusion:
    built = _trunks(trunks, common, stem=stem, width=width, batch_norm=batch_norm)
    return ConcatFusion(
        built,
        num_features=8 * width,
        num_classes=common.classes,
        frozen=name == "early_fusion",
    )


def _late_fusion(
    name: str,
    common: Common,
    *,
    trunks: Sequence[str] = ("resnet18", "resnet34"),
    stem: str = "imagenet",
    width: int = 64,
    batch_norm: bool = False,
) -> LateFusion:
    return LateFusion(
        _trunks(trunks, common, stem=stem, width=width, batch_norm=batch_norm, heads=True)
    )


_BUILDERS: dict[str, Callable[..., nnx.Module]] = {
    **dict.fromkeys(resnet.STAGE_SIZES, _resnet),
    **dict.fromkeys(vgg.LAYOUTS, _vgg),
    "vgg19_attention": _vgg_attention,
    "se_cnn": _se_cnn,
    "attention_fusion": _attention_fusion,
    "early_fusion": _concat_fusion,
    "joint_fusion": _concat_fusion,
    "late_fusion": _late_fusion,
}
NAMES = tuple(_BUILDERS)


@functools.cache
def options(name: str) -> dict[str, Any]:
    """The options of the model `name` with their defaults, in the order of its builder."""
    one_of("model", name, NAMES)
    parameters = inspect.signature(_BUILDERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def build(name: str, common: Common, **chosen: Any) -> nnx.Module:
    """Builds a model with weights of zeros; raises a UserError for an option it does not have."""
    known = options(name)
    for option in chosen:
        if option not in known:
            raise UserError(
                f"{name} has no option {option!r}; it has {', '.join(known)}."
                + nearest(option, tuple(known))
            )
    trunks = (name, *chosen.get("trunks", known.get("trunks", ())))
    if common.remat and not any(trunk in resnet.STAGE_SIZES for trunk in trunks):
        raise UserError(
            f"model.remat is True, but {name} has no ResNet in it. Its first layers alone decide "
            "how much memory it takes, and computing them twice saves none; use a smaller batch, "
            "or optimizer.accumulation_steps."
        )
    return _BUILDERS[name](name, common, **chosen)
