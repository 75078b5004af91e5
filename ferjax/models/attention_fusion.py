"""Local and global attention fusion of two frozen trunks (Tran et al., tran2023).

f1 and f2 are the tokens of the two trunks, N x D each, and W is the width of a token:

    V   = (MLP([f1; f2]) + f1 + f2) / 3                MLP: dense(2D -> D), relu, dense(D -> D)
    SA  = (softmax(f1 f2^T / sqrt(W)) V) * V
    out = SA + sigmoid(conv1d(dense(relu(dense(SA))))) * SA      local attention
    logits = dense(mean over tokens of out)

Shapes: B batch, H W C image, h w map, N tokens, D width of a trunk's map, K classes; S sequences
of N tokens of width W.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from ferjax.errors import one_of
from ferjax.models.layers.basic import Dense
from ferjax.models.layers.initialization import random_parameter
from ferjax.models.layers.named import NamedModule
from ferjax.models.registry import Common, register
from ferjax.models.trunks import DEFAULT_TRUNKS, Fusion

TOKENS = ("space", "channel", "batch")
FEATURES = ("map", "pooled")
HIGHEST = jax.lax.Precision.HIGHEST


class TokenConv(NamedModule):
    """A convolution of kernel size 3 along the tokens, zero-padded, with a bias.

    Args:
      features: width D of the tokens.
    """

    def __init__(self, features: int):
        shape = (3, features, features)
        self.kernel = random_parameter(shape, math.sqrt(1.0 / (3 * features)))
        self.bias = nnx.Param(jnp.zeros((features,), jnp.float32))

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """Returns one token for each token and its two neighbours."""
        tokens = x.shape[1]
        padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
        shifted = [padded[:, i : i + tokens] for i in range(3)]
        kernel = self.kernel[...].reshape(-1, x.shape[2])
        y = jnp.dot(jnp.concatenate(shifted, axis=2), kernel, precision=HIGHEST)
        return y + self.bias[...][None, None, :]


class LocalAttention(NamedModule):
    """out = x + sigmoid(y) x with y = conv1d(dense(relu(dense(x)))), or x + y without the gate.

    Args:
      features: width D of the tokens.
      gated: whether y gates x or is added to it.
    """

    def __init__(self, features: int, *, gated: bool):
        self.fc1 = Dense(features, features)
        self.fc2 = Dense(features, features)
        self.conv = TokenConv(features)
        self.gated = gated

    def __call__(self, x: Float[Array, "B N D"]) -> Float[Array, "B N D"]:
        """Each token gated by itself and its neighbours, or their sum added to it."""
        y = self.conv(self.fc2(jax.nn.relu(self.fc1(x))))
        if not self.gated:
            return x + y
        gate = self.record("gate", jax.nn.sigmoid(y))
        return x + gate * x


@register("attention_fusion")
class AttentionFusion(Fusion):
    """The fusion network of tran2023 over two trunks.

    Args:
      num_classes: K.
      common: what the trunks are built from.
      trunks: names of the two trunks.
      stem: of ResNets.
      width: channels of the first stage of each trunk; D is eight times as many.
      batch_norm: batch norm in VGGs.
      tokens: "space" attends between the positions of one image; "channel" between the D numbers
        of one image's pooled maps, tokens of width 1; "batch" between the pooled maps of all
        images of a batch, so that the logits of an image depend on the others.
      feature: the tokens of "space": "map", the positions of the last map, or "pooled", its mean as
        the only token, for which SA = V * V.
      projections: learned projections of the queries and of the keys.
      local_attention: whether SA passes through local attention.
      local_gate: whether local attention gates (the paper's formula) or adds.
      frozen: whether training leaves the trunks as they are.
    """

    classifier_name = "fc"

    def __init__(
        self,
        *,
        num_classes: int,
        common: Common,
        trunks: Sequence[str] = DEFAULT_TRUNKS,
        stem: str = "imagenet",
        width: int = 64,
        batch_norm: bool = False,
        tokens: str = "space",
        feature: str = "map",
        projections: bool = False,
        local_attention: bool = True,
        local_gate: bool = True,
        frozen: bool = True,
    ):
        one_of("tokens", tokens, TOKENS)
        one_of("feature", feature, FEATURES)
        super().__init__(
            trunks, common, stem=stem, width=width, batch_norm=batch_norm, frozen=frozen
        )
        self.tokens = tokens
        self.feature = feature
        num_features = self.num_features
        self.mlp1 = Dense(2 * num_features, num_features)
        self.mlp2 = Dense(num_features, num_features)
        token_width = 1 if tokens == "channel" else num_features
        self.query = Dense(token_width, token_width) if projections else None
        self.key = Dense(token_width, token_width) if projections else None
        self.local = LocalAttention(num_features, gated=local_gate) if local_attention else None
        self.fc = Dense(num_features, num_classes)

    @classmethod
    def depends_on_batch(cls, options: Mapping[str, Any]) -> bool:
        """True for tokens="batch"."""
        return options.get("tokens") == "batch"

    def __call__(
        self, images: Float[Array, "B H W C"], keys: Key[Array, " B"] | None = None
    ) -> tuple[Float[Array, "B K"], Float[Array, "B D"]]:
        """Returns (logits [B, K], features [B, D]), both float32; `keys` are not used."""
        first, second = self._tokens(images)
        x = self.attend(first, second)
        if self.local is not None:
            x = self.local(x)
        features = self.record("features", jnp.mean(x, axis=1))
        return self.fc(features), features

    def attend(
        self, first: Float[Array, "B N D"], second: Float[Array, "B N D"]
    ) -> Float[Array, "B N D"]:
        """Returns SA of the tokens of both trunks; N is 1 unless `tokens` is "space"."""
        both = jnp.concatenate([first, second], axis=2)
        value = (self.mlp2(jax.nn.relu(self.mlp1(both))) + first + second) / 3.0
        if self.tokens == "channel":  # tokens of width 1: [B, D, 1]
            sequences = [x.swapaxes(1, 2) for x in (first, second, value)]
        elif self.tokens == "batch":  # one sequence, of one token for each image: [1, B, D]
            sequences = [x.swapaxes(0, 1) for x in (first, second, value)]
        else:
            sequences = [first, second, value]
        attended = self._self_attention(*sequences)
        if self.tokens == "channel":
            return attended.swapaxes(1, 2)
        return attended.swapaxes(0, 1) if self.tokens == "batch" else attended

    def _self_attention(
        self,
        query: Float[Array, "S N W"],
        key: Float[Array, "S N W"],
        value: Float[Array, "S N W"],
    ) -> Float[Array, "S N W"]:
        if self.query is not None and self.key is not None:
            query, key = self.query(query), self.key(key)
        scores = jnp.einsum("snw,smw->snm", query, key, precision=HIGHEST)
        weights = jax.nn.softmax(scores / math.sqrt(query.shape[2]), axis=2)
        weights = self.record("token_attention", weights)
        return jnp.einsum("snm,smw->snw", weights, value, precision=HIGHEST) * value

    def _tokens(
        self, images: Float[Array, "B H W C"]
    ) -> tuple[Float[Array, "B N D"], Float[Array, "B N D"]]:
        first, second = (maps.astype(jnp.float32) for maps in self.maps(images))
        if self.tokens == "space" and self.feature == "map":
            first, second = _same_size(first, second)
            batch, _, _, width = first.shape
            return first.reshape(batch, -1, width), second.reshape(batch, -1, width)
        first, second = (jnp.mean(maps, axis=(1, 2))[:, None, :] for maps in (first, second))
        return first, second


def _same_size(
    first: Float[Array, "B h w D"], second: Float[Array, "B r c D"]
) -> tuple[Float[Array, "B H W D"], Float[Array, "B H W D"]]:
    """Resizes the smaller map to the larger, bilinearly."""
    height = max(first.shape[1], second.shape[1])
    width = max(first.shape[2], second.shape[2])

    def resize(maps: Array) -> Array:
        batch, h, w, depth = maps.shape
        if (h, w) == (height, width):
            return maps
        return jax.image.resize(maps, (batch, height, width, depth), "bilinear")

    return resize(first), resize(second)
